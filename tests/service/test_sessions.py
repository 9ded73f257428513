"""What an operator does to sessions has its effect, survives a crash, and is refused where it would break one."""

import asyncio
from pathlib import Path

import pytest

from domain.facts import SessionSwitched
from service.cli import main
from service.links import Links
from service.sessions import SessionCommand, SessionRefused, find, listing
from tests.service.platform import VENUES, Platform, small_config
from tests.service.processes import Installation
from tests.service.wire import WARM_UP_S, Wire


class Desk:
    """A platform with one client on a wire, and an operator."""

    def __init__(self) -> None:
        self.platform = Platform(plans={})
        self.platform.run(WARM_UP_S)
        self.wire = Wire(self.platform)
        self.wire.logon()

    def does(self, action: str, name: str, next_in: int = 0, next_out: int = 0) -> None:
        platform = self.platform
        command = SessionCommand(action, name, "ops", next_in, next_out)
        platform.perform(platform.process.perform(platform.node.session(command, platform.now_ns)))
        platform.run(0.01)

    def row(self, name: str) -> dict[str, object]:
        return next(row for row in listing(self.platform.node.links) if row["name"] == name)

    def numbers(self, name: str) -> tuple[object, object]:
        row = self.row(name)
        return row["next_in"], row["next_out"]


def test_the_list_names_every_session_with_its_state() -> None:
    desk = Desk()
    rows = listing(desk.platform.node.links)
    assert [row["name"] for row in rows] == [
        "EMS1",
        "EMS2",
        *(f"{name}{kind}" for name in VENUES for kind in ("", "MD")),
    ]
    assert rows[0] == {
        "name": "EMS1",
        "kind": "client",
        "session": "FAIRLEAD->EMS1",
        "begin_string": "FIX.4.4",
        "state": "logged_on",
        "next_in": 2,
        "next_out": 2,
    }
    assert [row["state"] for row in rows[1:3]] == ["disconnected", "logged_on"]


def test_disconnect_ends_the_connection_and_the_client_may_come_back() -> None:
    desk = Desk()
    desk.does("disconnect", "EMS1")
    (logout,) = desk.wire.take("5")
    assert logout[58] == "disconnected by the operator"
    desk.wire.send("5", {})
    assert not desk.wire.is_open
    desk.wire.connect()
    desk.wire.logon()
    assert desk.row("EMS1")["state"] == "logged_on"


def test_disable_keeps_a_client_away_over_a_crash_until_it_is_enabled() -> None:
    desk = Desk()
    desk.does("disable", "EMS1")
    desk.wire.send("5", {})
    assert desk.row("EMS1")["state"] == "disabled"
    for crash in (False, True):
        if crash:
            desk.platform.crash()
        desk.wire.connect()
        assert desk.wire.logon() == []
        assert not desk.wire.is_open
    desk.does("enable", "EMS1")
    desk.does("enable", "EMS1")
    desk.wire.next_out = 3  # those that were refused don't count
    desk.wire.connect()
    assert [answer[35] for answer in desk.wire.logon()] == ["A"]
    switched = [(fact.enabled, fact.by) for fact in desk.platform.facts if isinstance(fact, SessionSwitched)]
    assert switched == [(False, "ops"), (True, "ops")]


def test_disable_keeps_us_away_from_a_venue() -> None:
    desk = Desk()
    desk.does("disable", "ARGO")
    desk.platform.run(1)
    assert desk.row("ARGO")["state"] == "disabled"
    assert desk.platform.node.state.venues_up == set(VENUES) - {"ARGO"}
    desk.does("connect", "ARGO")
    desk.platform.run(1)
    assert desk.row("ARGO")["state"] == "logged_on"
    assert desk.platform.node.state.venues_up == set(VENUES)


def test_numbers_that_were_set_are_those_of_the_next_logon_and_of_a_restart() -> None:
    desk = Desk()
    desk.wire.cut()
    desk.platform.run(0.01)
    desk.does("set", "EMS1", next_in=40, next_out=70)
    assert desk.numbers("EMS1") == (40, 70)
    desk.does("set", "EMS1", next_out=80)
    desk.platform.crash()
    assert desk.numbers("EMS1") == (40, 80)
    desk.wire.next_out = 40
    desk.wire.connect()
    (logon,) = desk.wire.logon()
    assert (logon[35], logon[34]) == ("A", "80")
    desk.wire.cut()
    desk.platform.run(0.01)
    desk.does("reset", "EMS1")
    desk.platform.crash()
    assert desk.numbers("EMS1") == (1, 1)
    desk.platform.check_replay()


@pytest.mark.parametrize(
    ("action", "name", "says"),
    [
        ("reset", "EMS1", "EMS1 is connected: disable it first"),
        ("set", "ARGO", "ARGO is connected: disable it first"),
        ("set", "EMS2", "set EMS2 to what"),
        ("reset", "ARGOMD", "ARGOMD starts at 1 at each logon"),
        ("disconnect", "EMS2", "EMS2 is not connected"),
        ("connect", "EMS1", "EMS1 is a client: it connects to us"),
        ("disable", "EMS9", "there is no session 'EMS9'; expected one of EMS1, EMS2, ARGO, ARGOMD"),
    ],
)
def test_refusals_change_nothing(action: str, name: str, says: str) -> None:
    desk = Desk()
    before = listing(desk.platform.node.links)
    with pytest.raises(SessionRefused, match=says):
        desk.does(action, name)
    assert listing(desk.platform.node.links) == before


def test_a_client_and_a_venue_of_one_name_are_told_apart() -> None:
    config = small_config()
    twin = type(config.clients[0])(name="ARGO", accounts=config.clients[0].accounts)
    links = Links(small_config(clients=(*config.clients, twin)), 0)
    with pytest.raises(SessionRefused, match="say client:ARGO or venue:ARGO"):
        find(links, "ARGO")
    assert [find(links, f"{kind}:ARGO").kind.value for kind in ("client", "venue")] == ["client", "venue"]


async def test_from_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    installation = Installation(tmp_path)

    async def ctl(*words: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["ctl", "sessions", *words, "--config", str(installation.daemon_toml)])
        said = capfd.readouterr()
        return status, said.out + said.err

    async with installation.venues() as venues, installation.daemon() as daemon:
        await venues.says("simulators_ready")
        await daemon.says("ready")
        await installation.trading()
        status, listed = await ctl()
        assert status == 0
        assert [line.split()[0] for line in listed.splitlines()][:4] == ["name", "EMS1", "EMS2", "ARGO"]
        assert await ctl("reset", "EMS1") == (2, listed_refusal("EMS1", 1, 1))
        assert (await ctl("reset", "ARGO", "--yes"))[1].startswith("fairlead ctl sessions: ARGO is connected")
        assert await ctl("disable", "ARGO") == (0, "ARGO: disable done\n")
        assert (await daemon.says("venue_down"))["venue"] == "ARGO"
        assert await ctl("set", "EMS2", "--next-in", "7", "--next-out", "9", "--yes") == (0, "EMS2: set done\n")
        rows = {line.split()[0]: line.split() for line in (await ctl("list"))[1].splitlines()}
        assert rows["ARGO"][4] == "disabled"
        assert rows["EMS2"][-2:] == ["7", "9"]
        assert (await ctl("set"))[1] == "fairlead ctl sessions: set which session? Expected a NAME\n"
        assert await ctl("enable", "ARGO") == (0, "ARGO: enable done\n")
        await installation.trading()
        assert await daemon.stop() == 0


def listed_refusal(name: str, next_in: int, next_out: int) -> str:
    return (
        f"fairlead ctl sessions: reset {name} (next in {next_in}, next out {next_out}) changes its sequence numbers, "
        "and the counterparty must do the same: say --yes to do it\n"
    )
