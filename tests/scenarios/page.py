"""The page that lists all scenarios."""

from pathlib import Path

from tests.scenarios.world import VERSIONS

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"), key=lambda path: path.stem)
PAGE = Path(__file__).parent / "README.md"


def title_of(script: Path) -> tuple[str, str]:
    """The matrices that a script plays and what happens in it."""
    ids, _, text = script.read_text().partition("\n")[0].removeprefix("# ").partition(": ")
    return ids, text


def versions_of(script: Path) -> list[str]:
    for line in script.read_text().splitlines():
        if line.startswith("versions "):
            return line.split()[1:]
    return list(VERSIONS)


def index() -> str:
    """The page of all scenarios, as Markdown. It says what passes, because a script that fails fails the tests."""
    lines = [
        "# The life of an order, scenario by scenario",
        "",
        "Each is a script that `test_scenarios.py` plays through the whole daemon at virtual time: what the EMS sends",
        "and hears, and what venues are sent and say. `scenario.py` explains the lines. The matrices are those of",
        "appendix D: D1 to D37 in FIX.4.2, A.1.a to L.1.b in FIX.4.4 and FIX.5.0 SP2; own is what has none.",
        "This page is written by `python -m tests.scenarios`; a test compares it with the scripts, and fails for each",
        "that does not pass.",
        "",
        "| matrices | what happens | FIX.4.2 | FIX.4.4 | FIX.5.0 SP2 |",
        "|---|---|---|---|---|",
    ]
    for script in SCRIPTS:
        ids, text = title_of(script)
        passes = ["passes" if version in versions_of(script) else "" for version in VERSIONS]
        lines.append(f"| {ids} | [{text}]({script.name}) | {' | '.join(passes)} |")
    return "\n".join(lines) + "\n"
