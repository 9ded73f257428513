"""A running daemon takes another config as far as sessions go, all of it or nothing, and says what it did."""

import asyncio
import io
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fix.config import SessionOptions
from fix.credentials import is_password
from fix.schedule import schedule_from_text
from fix.tls import Certificate, ListenerTls
from service.cli import main
from service.config import ServiceConfig
from service.reload import passwords, refusals
from service.sessions import listing
from simulators.client import Ems
from simulators.client_session import EmsSession
from simulators.client_tcp import run_ems
from tests.service.platform import Platform, small_config
from tests.service.processes import HOST, Installation, until
from tests.service.wire import Wire


def with_client(config: ServiceConfig, number: int, **changes: Any) -> ServiceConfig:
    clients = list(config.clients)
    clients[number] = msgspec.structs.replace(clients[number], **changes)
    return msgspec.structs.replace(config, clients=tuple(clients))


def with_venue(config: ServiceConfig, number: int, **changes: Any) -> ServiceConfig:
    venues = list(config.venues)
    venues[number] = msgspec.structs.replace(venues[number], **changes)
    return msgspec.structs.replace(config, venues=tuple(venues))


def with_listen(config: ServiceConfig, **changes: Any) -> ServiceConfig:
    return msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, **changes))


CONFIG = small_config()
TLS = ListenerTls(certificate="a.pem")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (CONFIG, []),
        (with_client(CONFIG, 0, accounts=("ACC1",), allow=("10.0.0.0/8",)), []),
        (msgspec.structs.replace(CONFIG, clients=CONFIG.clients[:1]), []),
        (msgspec.structs.replace(CONFIG, sessions={"DESK": SessionOptions(heart_bt_int=5)}), []),
        (with_venue(CONFIG, 0, host="10.0.0.1", fallbacks=("10.0.0.2:1",), username="me"), []),
        (with_listen(CONFIG, allow=("10.0.0.0/8",)), []),
        (with_client(CONFIG, 0, on_disconnect="cancel"), ["clients.EMS1.on_disconnect"]),
        (with_venue(CONFIG, 1, min_qty=5, symbols=()), ["venues.BRIG.min_qty", "venues.BRIG.symbols"]),
        (msgspec.structs.replace(CONFIG, venues=CONFIG.venues[1:]), ["venues.ARGO: removed"]),
        (with_listen(CONFIG, port=1), ["listen.port"]),
        (with_listen(CONFIG, tls=TLS), ["listen.tls: whether there is TLS, and whether clients need a certificate"]),
        (
            msgspec.structs.replace(
                CONFIG,
                risk=msgspec.structs.replace(CONFIG.risk, max_order_qty=1),
                service=msgspec.structs.replace(CONFIG.service, seed=2, comp_id="X"),
            ),
            ["service.comp_id", "service.seed", "risk.max_order_qty"],
        ),
    ],
)
def test_what_can_not_change(changed: ServiceConfig, expected: list[str]) -> None:
    found = refusals(CONFIG, changed)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(sorted(found), sorted(expected), strict=True))


def test_certificates_may_change_but_not_whether_they_are_asked_for() -> None:
    before = with_listen(CONFIG, tls=TLS)
    renewed = ListenerTls(certificate="b.pem", names={"fix.example": Certificate(certificate="c.pem")})
    assert refusals(before, with_listen(CONFIG, tls=renewed)) == []
    assert len(refusals(before, with_listen(CONFIG, tls=ListenerTls(certificate="b.pem", authorities="d.pem")))) == 1


def test_passwords_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "argo").write_text("secret\nand no more\n")
    config = with_venue(CONFIG, 0, password_file=str(tmp_path / "argo"))
    assert passwords(config) == {"ARGO": "secret"}
    with pytest.raises(OSError, match=r"venue BRIG: password_file .*nowhere"):
        passwords(with_venue(config, 1, password_file=str(tmp_path / "nowhere")))


# --- the node ---


class Desk:
    def __init__(self) -> None:
        self.platform = Platform(plans={})
        self.platform.run(3)

    def reloads(self, config: ServiceConfig) -> list[str]:
        output, done = self.platform.node.reconfigure(config, {}, self.platform.now_ns)
        self.platform.config = config
        self.platform.perform(self.platform.process.perform(output))
        self.platform.run(0.01)
        return done

    def row(self, name: str) -> dict[str, Any] | None:
        return next((row for row in listing(self.platform.node.links) if row["name"] == name), None)


def test_a_connected_client_changes_with_its_next_logon_and_goes_on_with_its_numbers() -> None:
    desk = Desk()
    wire = Wire(desk.platform)
    wire.logon()
    changed = msgspec.structs.replace(
        with_client(CONFIG, 0, begin_string="FIX.4.2"), sessions={"DESK": SessionOptions(max_messages_per_s=1_000)}
    )
    done = desk.reloads(changed)
    assert done == [
        "client EMS1 is changed from its next logon on",
        "venue ARGO is changed from its next logon on",
        "venue ARGOMD is changed from its next logon on",
    ]
    wire.send("D", wire.order("STILL"))
    assert wire.take("8")[0][8] == "FIX.4.4"
    wire.send("5", {})
    row = desk.row("EMS1")
    assert row is not None and (row["begin_string"], row["next_in"], row["next_out"]) == ("FIX.4.2", 4, 4)
    wire.connect()
    assert wire.logon() == []
    wire.begin_string = "FIX.4.2"
    wire.next_out = 4
    wire.connect()
    assert [answer[35] for answer in wire.logon()] == ["A"]
    assert desk.reloads(changed) == done[1:]  # the venue is still connected as before


def test_a_removed_client_is_logged_out_and_comes_back_with_its_numbers() -> None:
    desk = Desk()
    wire = Wire(desk.platform)
    wire.logon()
    wire.send("D", wire.order("OPEN"))
    assert desk.reloads(msgspec.structs.replace(CONFIG, clients=CONFIG.clients[1:])) == ["client EMS1 is removed"]
    assert wire.take("5")[-1][58] == "the session is removed"
    wire.send("5", {})
    assert desk.row("EMS1") is None
    wire.connect()
    assert wire.logon() == []
    assert len(desk.platform.node.state.open_parents) == 1  # its order is worked on
    assert desk.reloads(CONFIG) == ["client EMS1 is added"]
    wire.next_out -= 1
    wire.connect()
    assert [answer[35] for answer in wire.logon()] == ["A"]


def test_a_venue_keeps_to_another_schedule() -> None:
    desk = Desk()
    closed = {"DESK": SessionOptions(schedule=schedule_from_text("00:00-00:01 UTC"))}
    assert len(desk.reloads(msgspec.structs.replace(CONFIG, sessions=closed))) == 3
    desk.platform.cut("ARGO")
    desk.platform.run(1)
    row = desk.row("ARGO")
    assert row is not None and row["state"] != "logged_on"


# --- the daemon ---


async def test_a_client_and_tls_come_to_a_running_daemon(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    installation = Installation(tmp_path)
    toml = installation.daemon_toml
    before = toml.read_text()

    async def reload() -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["ctl", "sessions", "reload", "--config", str(toml)])
        said = capfd.readouterr()
        return status, said.out + said.err

    async with installation.venues() as venues, installation.daemon() as daemon:
        await venues.says("simulators_ready")
        await daemon.says("ready")
        await installation.trading()
        assert await reload() == (0, "nothing differs\n")

        toml.write_text(before.replace("seed = 1", "seed = 2").replace("max_order_qty = 100_000", "max_order_qty = 1"))
        status, said = await reload()
        assert status == 2
        assert said.splitlines() == [
            "fairlead ctl sessions: nothing is changed:",
            "service.seed can't change while the daemon runs",
            "risk.max_order_qty can't change while the daemon runs",
        ]
        toml.write_text(before.replace('#certificate = ""', 'certificate = "/nowhere.pem"').replace("#[v", "[v"))
        status, said = await reload()
        assert status == 2 and "TLS: /nowhere.pem: [Errno 2] No such file" in said

        toml.write_text(before.replace('name = "EMS2"', 'name = "EMS*"').replace("allow = []", 'allow = ["127.0.0.1"]'))
        status, said = await reload()
        assert status == 0
        assert said.splitlines() == [
            "client EMS1 is changed",
            "client EMS* is added",
            "listen.allow is changed",
        ]
        ems = Ems(EmsSession("FIX.4.2", "EMS77", "FAIRLEAD"), [], {}.__getitem__)
        over = False
        running = asyncio.create_task(run_ems(ems, HOST, installation.port, lambda: over))
        await until(lambda: ems.session.is_logged_on)
        over = True
        await running
        assert await daemon.stop() == 0
        assert daemon.of("config_reloaded")[-1]["changes"] == said.splitlines()


def test_the_hash_of_a_password(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for typed, status in (("open sesame\n", 0), ("\n", 2), ("", 2)):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert main(["password"]) == status
        out, err = capfd.readouterr()
        assert is_password("open sesame", out.strip()) if status == 0 else "expected a password" in err


async def test_tls_to_a_daemon(tmp_path: Path) -> None:
    """The config's own TLS keys lead to a handshake; what a context does is in the tests of fix.tcp."""
    installation = Installation(tmp_path)
    new_key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=fix.example"
    arguments = [*new_key.split(), "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)
    table = f'[listen.tls]\ncertificate = "{tmp_path}/cert.pem"\nkey = "{tmp_path}/key.pem"'
    installation.change("#[listen.tls]", table)

    async with installation.daemon() as daemon:
        await daemon.says("ready")
        client = ["openssl", "s_client", "-connect", f"{HOST}:{installation.port}", "-CAfile", f"{tmp_path}/cert.pem"]
        shown = await asyncio.to_thread(subprocess.run, client, input=b"", capture_output=True)
        assert b"Verify return code: 0 (ok)" in shown.stdout
        assert await daemon.stop() == 0
