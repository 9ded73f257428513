"""Every script, for both versions and roles, whole and byte by byte."""

from pathlib import Path

import pytest

from tests.fix.scripting import SCRIPTS, Script, runs_of

RUNS = [(script, *run) for script in SCRIPTS for run in runs_of(script)]


@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "bytes"])
@pytest.mark.parametrize(("script", "begin_string", "role"), RUNS, ids=lambda value: getattr(value, "stem", value))
def test_script(script: Path, begin_string: str, role: str, byte_by_byte: bool) -> None:
    Script(begin_string, role, byte_by_byte).run(script.read_text())


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("logon\n> 35=1|34=2|112=A", "also sent"),
        ("logon\n< 35=0|34=2", "nothing was sent"),
        ("logon\n> 35=1|34=2|112=A\n< 35=0|34=2|112=B", "112=A"),
        ("logon\n> 35=D|34=2", "also happened"),
        ("logon\n> 35=D|34=2\n! Received D 3", "Received D 2"),
    ],
)
def test_a_script_can_fail(lines: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        Script("FIX.4.4", "acceptor", byte_by_byte=False).run(lines)
