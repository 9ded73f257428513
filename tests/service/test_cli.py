"""Commands as they are typed: what they print, and one clear line with a status for what was asked wrongly."""

import asyncio
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from domain.commands import OperatorCommand, SetKillSwitch
from domain.facts import MessageReceived, VenueUp
from service.cli import main
from service.control import serve_control
from service.journal import Journal
from tests.service.test_explain import STORY

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIG = str(DEPLOY / "fairlead.toml")


def lines(capfd: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    return out, err.splitlines()


@pytest.fixture
def journal(tmp_path: Path) -> str:
    written = Journal.open(tmp_path / "journal")
    for fact in STORY:
        written.append([fact])
    written.append([MessageReceived(at_ns=1, session="s", raw=b"8=FIX.4.4\x0135=A\x01554=hunter2\x0110=1\x01")])
    written.close()
    return str(tmp_path / "journal")


def test_configs_that_are_right(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", CONFIG, "--check-config"]) == 0
    assert main(["simulate", "--config", str(DEPLOY / "simulators.toml"), "--check-config"]) == 0
    assert lines(capfd) == ("ok\nok\n", [])


@pytest.mark.parametrize(("command", "example"), [("run", "fairlead.toml"), ("simulate", "simulators.toml")])
def test_every_mistake_of_a_config_is_a_line(
    command: str, example: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (DEPLOY / example).read_text()
    path = tmp_path / "wrong.toml"
    path.write_text(re.sub(r"(?m)^seed = .*$", "sead = 1", text).replace("port = 9901", "port = -1"))
    for check in ([], ["--check-config"]):
        assert main([command, "--config", str(path), *check]) == 2
        out, errors = lines(capfd)
        assert out == ""
        assert len(errors) == 2
        assert all(error.startswith(f"{path}: ") for error in errors)
        assert any("sead: unknown key; did you mean seed?" in error for error in errors)
        assert any("port: expected int" in error and "got -1" in error for error in errors)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["run", "--config", "/no/such.toml"], "there is no file /no/such.toml"),
        (["explain", "X", "--journal", "/no/such"], "there is no file /no/such"),
        (["explain", "X"], "one of the arguments --journal --config is required"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "COMMAND"),
        (["demo", "--parents", "many"], "invalid int value: 'many'"),
        (["demo", "--tape", "/no/such.csv"], "there is no file /no/such.csv"),
        (["ctl", "kill", "--config", CONFIG], "SCOPE"),
    ],
)
def test_wrong_arguments(argv: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(argv)
    assert exited.value.code == 2
    assert says in lines(capfd)[1][-1]


def test_a_tape_needs_its_book(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.csv").touch()
    assert main(["demo", "--tape", str(tmp_path / "m.csv")]) == 2
    assert "--tape and --book go together" in lines(capfd)[1][0]


def test_explain(journal: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "A1", "--journal", journal]) == 0
    out, errors = lines(capfd)
    assert "buy 1000 ALFA" in out
    assert not errors
    assert main(["explain", "A9", "--journal", journal]) == 1
    assert lines(capfd) == ("", ["no order with ClOrdID(11) 'A9' in the journal"])


def test_explain_by_config(journal: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "fairlead.toml"
    config.write_text(Path(CONFIG).read_text().replace('data_dir = "var/fairlead"', f'data_dir = "{tmp_path}"'))
    assert main(["explain", "A1", "--config", str(config)]) == 0
    assert "buy 1000 ALFA" in lines(capfd)[0]


def test_journal_cat_and_verify(journal: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "cat", "--journal", journal]) == 0
    out, _ = lines(capfd)
    facts = [json.loads(line) for line in out.splitlines()]
    assert [fact["fact"] for fact in facts] == [*(type(fact).__name__ for fact in STORY), "MessageReceived"]
    assert facts[0]["cl_ord_id"] == "A1"
    assert facts[-1]["raw"] == "8=FIX.4.4|35=A|554=***|10=1|"
    assert main(["journal", "verify", "--journal", journal]) == 0
    assert f"ok, 1 segments, {len(facts)} batches, {len(facts)} facts" in lines(capfd)[0]


def test_verify_tells_an_unfinished_write_from_damage(journal: str, capfd: pytest.CaptureFixture[str]) -> None:
    segment = Path(journal, "00000001.journal")
    data = segment.read_bytes()
    segment.write_bytes(data[:-3])
    assert main(["journal", "verify", "--journal", journal]) == 0
    assert "bytes of an unfinished write follow" in lines(capfd)[0]
    segment.write_bytes(data[:80] + b"?" + data[81:])
    for argv in (["journal", "verify"], ["journal", "cat"], ["explain", "A1"]):
        assert main([*argv, "--journal", journal]) == 2
        assert re.fullmatch(rf"journal {segment}: damaged at byte \d+: .*", lines(capfd)[1][0])


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    written = Journal.open(tmp_path / "journal")
    for _ in range(20):
        written.append([VenueUp(at_ns=1, venue="ARGO")] * 500)
    written.close()
    command = [sys.executable, "-c", "import sys; from service.cli import main; sys.exit(main())"]
    with subprocess.Popen(
        [*command, "journal", "cat", "--journal", str(tmp_path / "journal")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_models_of_an_empty_registry(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--models", str(tmp_path / "none")]) == 0
    assert lines(capfd)[0] == f"no models in {tmp_path / 'none'}\n"


STATUS = {
    "open_parents": 3,
    "venues": [{"venue": "ARGO", "fill_said": 0.61, "fill_found": None, "alarm": "fills less than usual"}],
}


def test_operator_commands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "fairlead.toml"
    config.write_text(Path(CONFIG).read_text().replace('data_dir = "var/fairlead"', f'data_dir = "{tmp_path}"'))
    at = ["--config", str(config)]
    assert main(["ctl", "status", *at]) == 2
    assert f"no daemon listens at {tmp_path / 'control.sock'}" in lines(capfd)[1][0]

    commands: list[OperatorCommand] = []
    started, stop = threading.Event(), asyncio.Event()

    async def daemon() -> None:
        server = await serve_control(tmp_path / "control.sock", commands.append, lambda: STATUS, list)
        started.set()
        await stop.wait()
        server.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(daemon()))
    thread.start()
    try:
        assert started.wait(10)
        assert main(["ctl", "status", *at]) == 0
        assert main(["ctl", "venues", *at]) == 0
        assert main(["ctl", "kill", "venue:ARGO", "--text", "bad prices", *at]) == 0
        assert main(["ctl", "release", "venue:GONE", *at]) == 0  # one that a changed config no longer has
        out, _ = lines(capfd)
        assert '"open_parents": 3' in out
        assert "fills less than usual" in out
        assert out.splitlines()[-2:] == ["venue:ARGO: stopped", "venue:GONE: released"]
        assert main(["ctl", "kill", "venue:AGRO", *at]) == 2
        assert "there is no venue 'AGRO'; expected one of ARGO, BRIG" in lines(capfd)[1][0]
        assert main(["ctl", "kill", "desk:X", *at]) == 2
        assert "scope 'desk:X' is none of firm" in lines(capfd)[1][0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
    assert [type(command).__name__ for command in commands] == ["SetKillSwitch", "ReleaseKillSwitch"]
    assert isinstance(commands[0], SetKillSwitch)
    assert (commands[0].scope, commands[0].text) == ("venue:ARGO", "bad prices")
    assert commands[0].by


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from service.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({'numpy', 'xgboost', 'onnxruntime', 'rich', 'asyncio'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"
