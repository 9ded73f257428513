"""The daemon as a process: started, used, stopped, killed and started again, and what it makes of damaged files."""

import asyncio
import resource
import shutil
import signal
from fnmatch import fnmatch
from itertools import count, product
from pathlib import Path

import msgspec
import pytest

from domain.facts import EpochStarted, VenueUp
from domain.fields import OrdStatus, Side
from router.model import ONNX_FILE
from service.cli import main
from service.control import ask
from service.frames import HEADER_BYTES
from service.journal import Journal, survey
from tests.service.processes import HOST, TIMEOUT_S, Installation, Running, trading_systems, until

KILLS = 3
PARENTS = 4  # of each client and life, in the test that kills
SYMBOLS = ("ALFA", "BRVO")
FAR_FROM_MARKET_PX = 24_0000  # a buy limit for ALFA that nobody sells at


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


async def answer_to(port: int, data: bytes) -> bytes:
    """All that comes back until the daemon hangs up."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), TIMEOUT_S)
    finally:
        writer.close()


async def test_a_day_of_an_operator(installation: Installation):
    async with installation.venues() as venues, trading_systems(installation, {}) as ems:
        await venues.says("simulators_ready")
        async with installation.daemon() as daemon:
            ready = await daemon.says("ready")
            assert ready["model"] == "prior"
            await installation.trading()
            filled = [
                client.new_order("A1", "ALFA", Side.BUY, 300, account="ACC2", strategy="sweep")
                for client in ems.values()
            ]
            await until(lambda: all(order.settled_status is OrdStatus.FILLED for order in filled))
            open_order = ems["EMS1"].new_order(
                "A2", "ALFA", Side.BUY, 500, account="ACC1", limit_px=FAR_FROM_MARKET_PX, strategy="sweep"
            )
            await until(lambda: open_order.settled_status is OrdStatus.NEW)

            assert await answer_to(installation.port, bytes(range(256))) == b""
            assert "not a FIX message" in (await daemon.says("refused"))["text"]
            async with installation.daemon() as second:
                assert await second.ended() == 1
                assert str(daemon.process.pid) in second.of("journal_refused")[0]["text"]

            assert await daemon.stop() == 0
            assert "held: shutting down" in open_order.text
            assert daemon.log[-1]["event"] == "stopped"
            asked = {line["child_id"]: line["reason"] for line in daemon.of("child_cancel_requested")}
            assert "shutdown" in asked.values()
            assert {line["child_id"] for line in daemon.of("child_canceled")} >= asked.keys()

        async with installation.daemon() as daemon:
            await installation.trading()
            await until(lambda: "resumed" in open_order.text)
            ems["EMS1"].cancel("A2")
            await until(lambda: open_order.settled_status is OrdStatus.CANCELED)
            last = ems["EMS2"].new_order("A3", "BRVO", Side.SELL, 200, account="ACC2", strategy="sweep")
            await until(lambda: last.settled_status is OrdStatus.FILLED)
            assert await daemon.stop() == 0
        assert await venues.stop() == 0
    assert installation.books(ems).differences == []
    assert [client.violations for client in ems.values()] == [[], []]
    assert all(line["level"] != "error" for line in daemon.log + venues.log)


async def test_killed_in_the_midst_of_it_again_and_again(installation: Installation):
    """Each life gets orders of its own and is ended with some of them filled, however long that takes."""
    async with installation.venues() as venues:
        await venues.says("simulators_ready")
        async with trading_systems(installation, {}) as ems:
            for life in range(KILLS):
                async with installation.daemon() as daemon:
                    await installation.trading()
                    for client, number in product(installation.config.clients, range(PARENTS)):
                        order = (f"{client.name}-{life}.{number}", SYMBOLS[number % 2], (Side.BUY, Side.SELL)[life % 2])
                        strategy = {"strategy": "twap", "params": {"duration_s": 2, "slices": 4}}
                        how = strategy if number % 2 else {"strategy": "sweep"}
                        ems[client.name].new_order(*order, 400, account=client.accounts[0], **how)
                    await daemon.says("child_filled", 3)
                    assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
            async with installation.daemon() as daemon:
                await until(lambda: all(client.done for client in ems.values()))
                assert await daemon.stop() == 0
        assert await venues.stop() == 0
    books = installation.books(ems)
    assert (books.unmatched_shares, books.differences) == (0, [])
    assert [client.violations for client in ems.values()] == [[], []]
    assert not daemon.of("execution_unknown")


# --- files that are not as they should be ---


async def test_a_model_serves_and_a_damaged_one_is_refused(installation: Installation, registry: Path):
    shutil.copytree(registry, installation.models)
    async with installation.daemon() as daemon:
        model_id = (await daemon.says("ready"))["model"]
        assert len(model_id) == 12
        assert await daemon.stop() == 0
    onnx = installation.models / model_id / ONNX_FILE
    data = bytearray(onnx.read_bytes())
    data[len(data) // 2] ^= 1
    onnx.write_bytes(data)
    async with installation.daemon() as daemon:
        assert (await daemon.says("ready"))["model"] == "prior"
        assert str(onnx) in daemon.of("model_loaded")[0]["text"]
        assert await daemon.stop() == 0
    installation.change("required = false", "required = true")
    async with installation.daemon() as daemon:
        assert await daemon.ended() == 1
        assert str(onnx) in daemon.of("model_refused")[0]["text"]


@pytest.fixture
def journal(installation: Installation) -> Path:
    path = installation.config.journal_path
    written = Journal.open(path)
    written.append([EpochStarted(at_ns=1, epoch="1JN7W80", version="0.1.0")])
    for at_ns in range(2, 10):
        written.append([VenueUp(at_ns=at_ns, venue="ARGO")])
    written.close()
    return path / "00000001.journal"


async def test_an_unfinished_write_is_cut_off(installation: Installation, journal: Path):
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    async with installation.daemon() as daemon:
        await daemon.says("ready")
        (line,) = daemon.of("journal_tail_cut")
        assert (line["level"], line["path"]) == ("warning", str(journal))
        assert await daemon.stop() == 0
    found = survey(journal)
    assert found.tail_bytes == 0
    assert journal.read_bytes().startswith(whole[: len(whole) - 5 - line["bytes"]])
    assert main(["journal", "verify", "--config", str(installation.daemon_toml)]) == 0


async def test_damage_in_the_middle_is_never_skipped(installation: Installation, journal: Path):
    data = bytearray(journal.read_bytes())
    data[HEADER_BYTES + 30] ^= 1
    journal.write_bytes(data)
    async with installation.daemon() as daemon:
        assert await daemon.ended() == 1
        assert f"damaged at byte {HEADER_BYTES}" in daemon.of("journal_refused")[0]["text"]
    assert journal.read_bytes() == data


async def test_a_full_disk_stops_new_orders_first_and_the_daemon_when_the_reserve_is_used_up(
    installation: Installation,
):
    async with installation.venues() as venues, trading_systems(installation, {}) as ems:
        await venues.says("simulators_ready")
        client = ems["EMS1"]
        async with installation.daemon() as daemon:
            await installation.trading()
            resting = client.new_order(
                "R1", "ALFA", Side.BUY, 500, account="ACC1", limit_px=FAR_FROM_MARKET_PX, strategy="sweep"
            )
            await until(lambda: resting.settled_status is OrdStatus.NEW)
            # From here on no file may grow beyond what the segment has: it is full, and so will be the reserve.
            segment = installation.config.journal_path / "00000001.journal"
            size = segment.stat().st_size + 60_000
            resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (size, size))
            numbers = count()

            def is_paused() -> bool:
                client.new_order(f"F{next(numbers)}", "ALFA", Side.BUY, 300, account="ACC1", strategy="sweep")
                return bool(daemon.of("orders_paused"))

            await until(is_paused)
            assert (await daemon.says("orders_paused"))["level"] == "error"
            late = client.new_order("LATE", "ALFA", Side.BUY, 300, account="ACC1", strategy="sweep")
            client.cancel("R1")
            await until(lambda: late.settled_status is OrdStatus.REJECTED)
            assert "the journal's disk is full" in late.text
            await until(lambda: resting.settled_status is OrdStatus.CANCELED)
            await until(lambda: is_paused() and daemon.process.returncode is not None)  # the reserve is used up too
            assert await daemon.ended() == 1
            (failed,) = daemon.of("failed")
            assert "File too large" in failed["text"]
        async with installation.daemon() as daemon:
            await daemon.says("orders_resumed")
            await until(lambda: client.done)
            assert await daemon.stop() == 0
        assert await venues.stop() == 0
    assert installation.books(ems).differences == []
    assert [client.violations for client in ems.values()] == [[], []]


async def test_a_port_that_is_taken(installation: Installation):
    installation.change(f"port = {installation.port}", f"port = {installation.port}\n# taken")
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), HOST, installation.port)
    async with taken, installation.daemon() as daemon:
        assert await daemon.ended() == 2
        assert str(installation.port) in "".join(daemon.plain)
        assert "Traceback" not in "".join(daemon.plain)


async def test_a_config_with_mistakes(installation: Installation):
    installation.change("on_shutdown", "on_shotdown")
    for arguments in ((), ("--check-config",)):
        async with Running("run", "--config", str(installation.daemon_toml), *arguments) as daemon:
            assert await daemon.ended() == 2
            (line,) = daemon.plain
            assert line.startswith(f"{installation.daemon_toml}: service.on_shotdown: unknown key; did you mean")


# --- a tape with a bad line ---

ROWS = 400


@pytest.fixture
def tape(tmp_path: Path) -> tuple[Path, Path]:
    """A minute of a quiet day, whose line 300 of the messages says "x" where a price should be."""
    messages = [f"{34200 + row * 0.01:.9f},1,{row},100,{100_0000 if row % 2 else 99_9900},{1}" for row in range(ROWS)]
    book = ["1000100,500,1000000,500"] * ROWS
    messages[299] = messages[299].replace("1000000", "x").replace("999900", "x")
    paths = tmp_path / "ALFA_message.csv", tmp_path / "ALFA_orderbook.csv"
    for path, lines in zip(paths, (messages, book), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return paths


async def test_venues_whose_tape_has_a_bad_line_stop_and_name_it(installation: Installation, tape: tuple[Path, Path]):
    messages, book = tape
    with installation.simulators_toml.open("a") as config:
        config.write('[symbols.ALFA]\nstart_px = 1000000\n[tape]\nsymbol = "ALFA"\nspeed = 10.0\n')
        config.write(f"messages = {msgspec.json.encode(str(messages)).decode()}\n")
        config.write(f"book = {msgspec.json.encode(str(book)).decode()}\n")
    async with installation.venues() as venues:
        assert await venues.ended() == 1
        text = venues.of("simulators_failed")[0]["text"]
        assert str(messages) in text and "300" in text and "x" in text, text


def test_the_demo_names_a_tapes_bad_line_before_it_starts(
    tape: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--tape", str(tape[0]), "--book", str(tape[1]), "--models", str(tmp_path / "none")]) == 1
    out = capfd.readouterr().out.replace("\n", "")
    assert str(tape[0]) in out and "300" in out
    assert not (tmp_path / "var").exists()


# --- stopping in a hurry ---


async def test_a_second_signal_leaves_at_once_and_the_next_start_goes_on(installation: Installation):
    installation.change("shutdown_timeout_s = 10.0", f"shutdown_timeout_s = {10 * TIMEOUT_S}")
    async with installation.venues() as venues, trading_systems(installation, {}) as ems:
        await venues.says("simulators_ready")
        async with installation.daemon() as daemon:
            await installation.trading()
            order = ems["EMS1"].new_order(
                "S1", "ALFA", Side.BUY, 500, account="ACC1", limit_px=FAR_FROM_MARKET_PX, strategy="sweep"
            )
            await until(lambda: order.settled_status is OrdStatus.NEW)
            venues.process.send_signal(signal.SIGSTOP)
            daemon.process.send_signal(signal.SIGTERM)  # nobody answers its cancels: it would wait for minutes
            await daemon.says("stopping")
            assert await daemon.stop() == 0
            venues.process.send_signal(signal.SIGCONT)
        async with installation.daemon() as daemon:
            assert not (await daemon.says("recovered"))["snapshot"]
            await installation.trading()
            await until(lambda: "resumed" in order.text)
            ems["EMS1"].cancel("S1")
            await until(lambda: order.settled_status is OrdStatus.CANCELED)
            assert await daemon.stop() == 0
        async with installation.daemon() as daemon:  # a clean stop leaves a snapshot, and nothing to read
            recovered = await daemon.says("recovered")
            assert (recovered["snapshot"], recovered["facts"]) == (True, 0)
            assert await daemon.stop() == 0
        assert await venues.stop() == 0
    assert installation.books(ems).differences == []
    assert [client.violations for client in ems.values()] == [[], []]


async def test_a_file_stops_orders_and_only_a_named_person_lets_them_go_on(installation: Installation):
    control, file = installation.config.control_path, installation.config.kill_path
    release = {"command": "release", "scope": "firm", "by": "ops"}
    async with installation.venues() as venues, trading_systems(installation, {}) as ems:
        await venues.says("simulators_ready")
        async with installation.daemon() as daemon:
            await installation.trading()
            resting = ems["EMS1"].new_order(
                "K1", "ALFA", Side.BUY, 500, account="ACC1", limit_px=FAR_FROM_MARKET_PX, strategy="sweep"
            )
            await until(lambda: resting.settled_status is OrdStatus.NEW)
            file.write_text("firm smoke in the room\n")
            await until(lambda: bool(daemon.of("kill_switch_set")))
            await until(lambda: "kill_switch" in {line["reason"] for line in daemon.of("child_cancel_requested")})
            late = ems["EMS1"].new_order("K2", "ALFA", Side.BUY, 300, account="ACC1", strategy="sweep")
            await until(lambda: late.settled_status is OrdStatus.REJECTED)
            assert "smoke in the room" in late.text
            answer = await asyncio.to_thread(ask, control, release)
            assert not answer["ok"] and str(file) in answer["error"]
            assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        file.unlink()
        async with installation.daemon() as daemon:  # the file is gone, the stop is not
            await installation.trading()
            status = (await asyncio.to_thread(ask, control, {"command": "status"}))["status"]
            assert status["kill_switch"] == ["firm"]
            assert (await asyncio.to_thread(ask, control, release))["ok"]
            assert (await daemon.says("kill_switch_released"))["by"] == "ops"
            order = ems["EMS1"].new_order("K3", "ALFA", Side.BUY, 300, account="ACC1", strategy="sweep")
            await until(lambda: order.settled_status is OrdStatus.FILLED)
            assert await daemon.stop() == 0
        assert await venues.stop() == 0
    assert [client.violations for client in ems.values()] == [[], []]


SCENARIO = """title = "A venue refuses its first order"
[market.BRIG]
reject_share = 1.0
[[faults]]
kind = "reject"
on = "order"
venue = "ARGO"
text = "not today"
[expect]
filled_at = ["%s"]
disputed = %d
"""


@pytest.mark.parametrize(
    ("filled_at", "disputed", "leaves_open", "unmet"),
    [
        ("ARGO", 0, False, []),
        ("BRIG", 1, False, ["nothing was filled at BRIG", "0 fills were disputed, expected 1"]),
        ("ARGO", 0, True, ["order * at * is open with * shares"]),
    ],
)
async def test_a_scenario_over_sockets(
    installation: Installation, filled_at: str, disputed: int, leaves_open: bool, unmet: list[str]
):
    """Real processes: the fault and the figures happen, and the exit status says whether all came out as expected."""
    path = installation.directory / "scenario.toml"
    path.write_text(SCENARIO % (filled_at, disputed))
    for venue in ("CLIP", "DUSK", "EBBT", "FORD", "GALE"):
        installation.change(f'name = "{venue}"', f'name = "{venue}"\nenabled = false')
    async with installation.venues(path) as venues, trading_systems(installation, {}) as ems:
        await venues.says("simulators_ready")
        async with installation.daemon() as daemon:
            await daemon.says("ready")
            await until(lambda: asyncio.to_thread(lambda: priced(installation) == 5))
            sweep = ems["EMS1"].new_order("A1", "ALFA", Side.BUY, 1_000, account="ACC2", strategy="sweep")
            await until(lambda: sweep.settled_status is OrdStatus.FILLED)
            refused = [fact["text"] for fact in daemon.of("child_rejected")]
            assert "not today" in refused
            if leaves_open:
                away = ems["EMS1"].new_order(
                    "A2", "ALFA", Side.BUY, 500, account="ACC1", limit_px=FAR_FROM_MARKET_PX, strategy="sweep"
                )
                await until(lambda: away.settled_status is OrdStatus.NEW)
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        assert await venues.stop() == (1 if unmet else 0)
    said = [entry["text"] for entry in venues.of("scenario_failed")]
    assert all(any(fnmatch(text, one) for text in said) for one in unmet), said
    assert all(any(fnmatch(text, one) for one in unmet) for text in said), said
    assert len(venues.of("scenario_passed")) == (not unmet)


def priced(installation: Installation) -> int:
    try:
        return len(ask(installation.config.control_path, {"command": "status"})["status"]["priced"])
    except OSError:
        return 0
