"""What README.md and docs/ say is true: commands run, files are there, messages are taken, names mean what is said.

A page that nobody checks is wrong within weeks. What can be run cheaply is run; of the rest at least the command line
is parsed, so that an option that was renamed is found here.
"""

import asyncio
import importlib
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from domain.commands import CancelParent, NewParent, OperatorCommand, ReplaceParent
from domain.fields import Side, VenueKind
from domain.instruments import TradingHours
from fix.dictionary import dictionary, typed_dictionary
from fix.framing import Framer, frame
from fix.message import Message, parse
from gateway.inbound import to_command
from risk.checks import check_parent
from risk.exposure import Exposure
from risk.kill_switch import KillSwitch
from risk.locates import Locates
from risk.reject import Reject
from router import scoring, strategies
from router.state import State
from service import cli, cli_journal, cli_learning, config, toml
from service.control import serve_control
from service.examples import DAEMON, SIMULATORS, daemon_config, simulators_config
from service.journal import Journal
from service.venue_health import listing
from simulators.config import SimulatorsConfig
from tests.service.test_explain import STORY
from venues.config import VenueConfig

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DESIGN = (ROOT / "docs" / "design.md").read_text("utf-8")
PAGES = {"README.md": README, "docs/design.md": DESIGN}

CONFIG = daemon_config()
CLIENTS = {client.name: client for client in CONFIG.clients}
START_PX = {symbol.symbol: symbol.start_px for symbol in simulators_config().market().symbols}
NOW_NS = 1_767_623_400_000_000_000  # 2026-01-05 14:30:00


def blocks(language: str) -> list[str]:
    """The content of README's fenced blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    return README.split(f"# {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Cells of the tables in `text`, headings and rulers among them."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]


def spans(text: str) -> set[str]:
    """`Code` of running text and tables."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)))


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]
FAIRLEAD = [line for line in COMMANDS if line.startswith(".venv/bin/fairlead ")]
MESSAGES = [line for block in blocks("fix") for line in block.splitlines()]


# --- commands ---


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory as README's reader has it: deploy/, journals with the orders that he asks for, a tape."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / "simulators").symlink_to(ROOT / "simulators")
    for directory, cl_ord_id in (("var/fairlead", "A-2"), ("var/demo/fairlead", "EMS1-11")):
        journal = Journal.open(tmp_path / directory / "journal")
        for fact in STORY:
            named = getattr(fact, "cl_ord_id", "") == "A1"
            journal.append([msgspec.structs.replace(fact, cl_ord_id=cl_ord_id) if named else fact])
        journal.close()
    for name in ("AMZN_message.csv", "AMZN_orderbook.csv", "session.log"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def operated(place: Path) -> Iterator[list[OperatorCommand]]:
    """What reaches the control socket that `fairlead ctl` finds by the example config."""
    commands: list[OperatorCommand] = []
    started, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def daemon() -> None:
        path = Path("var/fairlead/control.sock")
        server = await serve_control(
            path, commands.append, lambda: {"open_parents": 3, "venues": listing(State(), ["ARGO"])}, list
        )
        started.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(daemon()))
    thread.start()
    assert started.wait(10)
    yield commands
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_every_command_line_is_of_a_kind_that_is_checked_here() -> None:
    assert len(FAIRLEAD) > 10
    assert not [line for line in COMMANDS if not line.startswith((".venv/bin/fairlead ", "make "))]


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_make_has_the_target(line: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(VENV)", ".venv")
    assert re.search(rf"^{re.escape(line.split()[1])}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("line", FAIRLEAD)
def test_a_command_does_what_it_is_there_for(
    line: str, operated: list[OperatorCommand], capfd: pytest.CaptureFixture[str]
) -> None:
    argv = shlex.split(line)[1:]
    args = cli._parser().parse_args(argv)
    quick = (cli.explain, cli.control, cli_learning.models, cli_journal.journal)
    if (args.command not in quick and "--check-config" not in argv) or "tail" in argv:
        return  # it would take minutes, or go on until it is stopped
    assert cli.main(argv) == 0
    out, err = capfd.readouterr()
    assert out
    assert not err
    if argv[0] == "explain":
        assert argv[1] in out
    if argv[:2] in (["ctl", "kill"], ["ctl", "release"]):
        assert [command.scope for command in operated] == [argv[2]]


def test_every_command_and_scope_is_named() -> None:
    commands = next(action for action in cli._parser()._actions if action.dest != "help").choices
    assert commands
    for name in commands:
        assert re.search(rf"fairlead {name}\b", README), name
        assert f"`fairlead {name}`" in DESIGN or f"`{name}`" in DESIGN, name
        with pytest.raises(SystemExit) as exited:
            cli.main([name, "--help"])
        assert exited.value.code == 0
    assert {f"{kind}:" for kind in ("client", "account", "venue", "strategy", "symbol")} | {"firm"} <= spans(README)


# --- files, links, names ---


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGES[page])
    assert links
    assert not [
        link for link in links if not link.startswith("http") and not (ROOT / page).parent.joinpath(link).exists()
    ]


@pytest.mark.parametrize("page", PAGES)
def test_files_are_there(page: str) -> None:
    named = {span for span in spans(PAGES[page]) if re.fullmatch(r"[\w.]+/[\w./]*|[\w]+\.(toml|txt|py|md)", span)}
    assert len(named) > 3
    assert not [name for name in named if not name.startswith("var/") and not (ROOT / name).exists()]


def test_the_design_names_what_there_is() -> None:
    """Dotted names of modules, classes, functions and methods, in text and in the walk of an order."""
    walk = DESIGN.split("## The walk of an order")[1].split("And back:")[0]
    of_walk = re.findall(r"^ +([a-z]+\.[\w.]+)(?: +((?:\.\w+(?:, )?)+))?", walk, re.MULTILINE)
    names = {f"{name}{method}" for name, methods in of_walk for method in (methods.split(", ") if methods else [""])}
    names |= set(re.findall(r"(?:venues|gateway)\.outbound\.\w+", walk))
    packages = "domain|fix|risk|router|gateway|venues|learning|service|simulators"
    names |= {span for span in spans(DESIGN) if re.fullmatch(rf"(?:{packages})(?:\.\w+)+", span)}
    assert len(names) > 40
    assert not [name for name in sorted(names) if not exists(name)]


def exists(dotted: str) -> bool:
    """Of a module that needs an extra which is not installed, only that it is there."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            if error.name is not None and error.name.partition(".")[0] != parts[0]:
                return True
            continue
        for name in parts[count:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("page", PAGES)
def test_fix_names_have_their_tags(page: str) -> None:
    known = typed_dictionary("FIX.4.4")
    session = {"A": "Logon", "0": "Heartbeat", "2": "ResendRequest", "3": "Reject", "5": "Logout"}
    used = set(re.findall(r"\b([A-Z][A-Za-z]+)\((\d+|[A-Za-z])\)", PAGES[page]))
    assert used
    for name, tag in used:
        field, message = known.fields.get(tag), known.messages.get(tag)
        assert name in (field and field.name, message and message.name, session.get(tag)), f"{name}({tag})"


def test_the_cost_is_the_one_that_is_computed() -> None:
    formula = re.search(r"^    cost = .*$", DESIGN, re.MULTILINE)
    assert formula
    assert formula[0] in (scoring.__doc__ or "")


def test_the_picture_shows_the_configured_venues_and_clients() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "parts.svg").getroot()
    said = " ".join(text for text in picture.itertext() if text.strip())
    for venue in CONFIG.venues:
        assert venue.name in said
    for client in CONFIG.clients:
        assert client.name in said
        assert client.begin_string in said
    assert {"FORD, GALE", "DUSK, EBBT", "ARGO, BRIG, CLIP"} == {
        ", ".join(venue.name for venue in CONFIG.venues if venue.kind is kind) for kind in VenueKind
    }


# --- connecting an EMS ---


def test_what_an_ems_needs_to_connect() -> None:
    text = section("Connecting an EMS")
    assert f"{CONFIG.listen.host} port {CONFIG.listen.port}" in text
    assert CONFIG.service.comp_id in spans(text)
    assert {client.name for client in CONFIG.clients} <= spans(text)
    assert {account for client in CONFIG.clients for account in client.accounts} <= spans(text)
    assert {instrument.symbol for instrument in CONFIG.instruments} <= spans(text)
    assert "24.50, 52.00,\n98.00, 147.00 and 212.00" in text or "24.50, 52.00, 98.00, 147.00 and 212.00" in text
    assert [px / 10_000 for px in START_PX.values()] == [24.5, 52.0, 98.0, 147.0, 212.0]
    assert f"{CONFIG.risk.max_order_qty:,} shares" in text
    assert f"{CONFIG.risk.max_order_notional:,} currency units" in text.replace("\n", " ")
    ems2 = CLIENTS["EMS2"]
    assert f"tag {ems2.strategy_tag}" in text
    for name, tag in ems2.parameter_tags.items():
        assert f"tag {tag} `{name}`" in text


def test_every_strategy_and_parameter_is_described() -> None:
    described = {row[0].split("`")[1]: row for row in rows(section("Connecting an EMS")) if row[0].startswith("`")}
    assert described.keys() == strategies.STRATEGIES.keys()
    codes = {strategy: code for code, strategy in CLIENTS["EMS1"].strategy_codes.items()}
    for name, strategy in strategies.STRATEGIES.items():
        sent_as, parameters = described[name][1:3]
        assert spans(sent_as) == {codes[name], name}
        assert spans(parameters) == {parameter.name for parameter in strategy.PARAMETERS}
        for parameter in strategy.PARAMETERS:
            assert f"`{parameter.name}`, {parameter.low} to {parameter.high}" in parameters


def message_of(line: str) -> Message:
    """The message of a line with | for SOH; BodyLength(9) and CheckSum(10) have to be right."""
    begin_string, body = re.fullmatch(r"8=([^|]+)\|9=\d+\|(.*)10=\d+\|", line).groups()  # type: ignore[union-attr]
    right = frame(begin_string, body.replace("|", "\x01").encode())
    assert line == right.replace(b"\x01", b"|").decode()
    framer = Framer()
    framer.feed(right)
    assert framer.next_frame() == right
    return parse(right)


def test_the_messages_are_taken_and_mean_what_is_said() -> None:
    messages = [message_of(line) for line in MESSAGES]
    assert [message.msg_type for message in messages] == ["A", "D", "D", "G", "F", "D"]
    assert not [message.defect for message in messages if message.defect]
    assert {message.target_comp_id for message in messages} == {CONFIG.service.comp_id}
    for message in messages:
        assert message.begin_string == CLIENTS[message.sender_comp_id].begin_string
    commands = [to_command(message, CLIENTS[message.sender_comp_id]) for message in messages[1:]]
    sweep, twap, replace, cancel, of_ems2 = commands
    twap_params = {"duration_s": "60", "slices": "6"}
    said = [
        (sweep, "EMS1", "ACC1", "ALFA", Side.BUY, 2000, 0, "sweep", {}),
        (twap, "EMS1", "ACC1", "ECHO", Side.SELL, 3000, 2_115_000, "twap", twap_params),
        (of_ems2, "EMS2", "ACC2", "CHRL", Side.BUY, 1500, 0, "twap", twap_params),
    ]
    for order, *expected in said:
        assert isinstance(order, NewParent)
        found = [order.client, order.account, order.symbol, order.side, order.order_qty, order.limit_px]
        assert [*found, order.strategy, order.params] == expected
        assert (order.reject, refusal(order)) == (None, None)
        assert strategies.parse(order, NOW_NS)
    assert isinstance(replace, ReplaceParent)
    assert (replace.orig_cl_ord_id, replace.order_qty, replace.limit_px) == (twap.cl_ord_id, 4000, 2_112_000)
    assert (replace.params, replace.reject) == ({}, "")
    assert isinstance(cancel, CancelParent)
    assert cancel.orig_cl_ord_id == replace.cl_ord_id


def refusal(
    order: NewParent,
    switch: KillSwitch | None = None,
    hours: TradingHours = TradingHours(),  # noqa: B008 - frozen
    duplicate: bool = False,
    now_ns: int = NOW_NS,
) -> Reject | None:
    """What the risk gate of the example config says of an order at the price that its symbol starts from."""
    instruments = {item.symbol: msgspec.structs.replace(item.instrument, hours=hours) for item in CONFIG.instruments}
    return check_parent(
        order,
        instrument=instruments.get(order.symbol),
        reference_mid2_px=2 * START_PX.get(order.symbol, 0),
        now_ns=now_ns,
        limits=CONFIG.risk,
        exposure=Exposure(),
        kill_switch=switch or KillSwitch(),
        duplicate=duplicate,
        locates=Locates(),
    )


def changed(tag: int, value: str) -> NewParent:
    """The sweep among the examples with one field set to `value`."""
    kept = [field for field in MESSAGES[1].split("|")[2:-2] if not field.startswith(f"{tag}=")]
    body = "".join(f"{field}\x01" for field in [*kept, f"{tag}={value}"])
    order = to_command(parse(frame("FIX.4.4", body.encode())), CLIENTS["EMS1"])
    assert isinstance(order, NewParent)
    return order


def reject_rows() -> list[tuple[str, str]]:
    """OrdRejReason(103) and Text(58) of each order that README says is rejected."""
    table = rows(section("Connecting an EMS").split("### What is rejected, and how")[1])
    return [(row[1], row[2]) for row in table if len(row) == 3 and row[1].isdecimal()]


def test_rejects_read_as_shown() -> None:
    stopped, sweep = KillSwitch(), changed(59, "0")
    stopped.apply_set("symbol:ALFA", "ops", "bad prices")
    closed = config.hours_from_text("09:30-16:00 America/New_York")
    early_ns = NOW_NS - 6 * 3600 * 1_000_000_000
    made: list[tuple[str, str]] = []
    for rejected in (
        refusal(changed(55, "ZULU")),
        refusal(changed(38, "1000000")),
        refusal(sweep, duplicate=True),
        refusal(sweep, stopped),
        refusal(sweep, hours=closed, now_ns=early_ns),
    ):
        assert rejected is not None
        made.append((rejected.reason.value, rejected.text))
    for order in (changed(59, "4"), changed(38, "0"), changed(1, "ACC9"), changed(40, "2")):
        assert order.reject is not None
        made.append((order.reject[0].value, order.reject[1]))
    assert sorted(reject_rows()) == sorted(made)


def test_fix42_has_no_code_for_these() -> None:
    codes = re.search(r"FIX\.4\.2 has no code for ([\d, and]+);", README)
    assert codes
    known = set(dictionary("FIX.4.2").fields["103"].values)
    used = {code for code, _ in reject_rows()}
    assert set(re.findall(r"\d+", codes[1])) == used - known


# --- configuring a venue ---


def test_every_key_of_a_venue_is_in_the_table() -> None:
    table = [row for row in rows(section("Configuring a venue")) if len(row) == 3]
    fields = {field.name: field for field in msgspec.structs.fields(VenueConfig)}
    assert {key for row in table for key in spans(row[0])} == fields.keys()
    required = {key for row in table if row[1] == "required" for key in spans(row[0])}
    assert required == {name for name, field in fields.items() if field.required}


def test_a_fourth_lit_venue_is_what_it_says(tmp_path: Path) -> None:
    daemon, venues = blocks("toml")
    (tmp_path / "daemon.toml").write_text(DAEMON.read_text("utf-8") + daemon, "utf-8")
    (tmp_path / "venues.toml").write_text(SIMULATORS.read_text("utf-8") + venues, "utf-8")
    added = config.load(tmp_path / "daemon.toml").venues[-1]
    simulated = toml.load(SimulatorsConfig, tmp_path / "venues.toml")
    assert (added.kind, [venue.kind for venue in CONFIG.venues].count(VenueKind.LIT)) == (VenueKind.LIT, 3)
    assert simulated.market().venues[-1].kind is VenueKind.LIT
    assert (added.name, added.host, added.port) == (list(simulated.venues)[-1], *simulated.listeners()[added.name])
    assert added.port not in {venue.port for venue in CONFIG.venues}


def test_hazard_bins_and_registry_are_as_told() -> None:
    from learning.training import TrainingConfig

    edges = TrainingConfig().bin_edges_s
    assert f"up to {', '.join(f'{edge:g}' for edge in edges[:-1])} and {edges[-1]:g} seconds" in README.replace(
        "\n  ", " "
    )
    assert CONFIG.model.directory in spans(README)
