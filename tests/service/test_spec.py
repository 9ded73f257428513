"""The documents for clients say what the gateway does: every example is taken, every parameter is there."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.commands import NewParent
from domain.fields import WORKED_ORD_TYPES, WORKED_TIMES_IN_FORCE, CxlRejReason, OrdRejReason, OrdType, Side
from fix.dictionary import dictionary, typed_dictionary
from fix.framing import Composer
from fix.message import parse
from fix.schedule import schedule_from_text
from fix.session import Session, SessionConfig
from fix.store import MemoryStore
from gateway.clients import EXEC_INSTS, ClientConfig
from gateway.inbound import TAKEN, BusinessReject, to_command
from gateway.instructions import FIXED, RULES
from router import strategies
from router.strategies import STRATEGIES, twap
from router.strategies.schema import Parameter
from service import cli
from service.document import Code, Document, Section, Table, Text, html_page, markdown
from service.examples import daemon_config
from service.reload import NOT_CLIENT
from service.spec import CANCEL_REJECTS, REJECTS, rules_of_engagement
from service.spec_atdl import ANYBODY, atdl
from service.spec_examples import AT_NS, application, example_value, examples
from service.spec_session import WORDS
from tests.service.atdl_rules import problems

CONFIG = daemon_config()
EMS1, EMS2 = CONFIG.clients
EVERYTHING = replace(
    EMS1,
    ord_types=WORKED_ORD_TYPES,
    time_in_forces=WORKED_TIMES_IN_FORCE,
    exec_insts=EXEC_INSTS,
    min_qty=True,
    display_qty=True,
    locate_required=True,
)
CLIENTS = {
    "4.2": EMS2,
    "4.4": EMS1,
    "4.2, everything": replace(
        EVERYTHING, begin_string="FIX.4.2", strategy_tag=9100, parameter_tags={"duration_s": 9101, "slices": 9102}
    ),
    "4.4, everything": EVERYTHING,
    "5.0, everything": replace(EVERYTHING, begin_string="FIXT.1.1"),
    "short only": ClientConfig(name="BEAR", accounts=("ACC1",), sides=(Side.SELL_SHORT,), locate_required=True),
    "market only": ClientConfig(name="RUSH", accounts=("ACC1",), ord_types=(OrdType.MARKET,)),
    "4.2 without tags": ClientConfig(name="OLD", begin_string="FIX.4.2", accounts=("ACC1",)),
}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_every_example_is_valid_and_taken(client: ClientConfig) -> None:
    made = examples(client, "FAIRLEAD", CONFIG.instruments[0].instrument)
    kinds = set()
    for example in made:
        message = parse(example.raw, typed_dictionary(application(client)))
        assert message.defect is None
        kinds.add(message.msg_type)
        command = to_command(message, client)
        assert not isinstance(command, BusinessReject)
        assert not getattr(command, "reject", None), example.title
        if isinstance(command, NewParent):
            assert strategies.parse(command, AT_NS), example.title
    assert kinds >= {"D", "F", "G", "H"}
    sent = {message.get(40) for message in (parse(example.raw) for example in made) if message.msg_type == "D"}
    defined = dictionary(client.begin_string, application(client)).fields["40"].values
    assert sent == {item.value for item in client.ord_types} & defined.keys()


def table(document: Document, title: str) -> dict[str, tuple[str, ...]]:
    section = next(section for section in document.sections if section.title.startswith(title))
    return {row[0]: row for block in section.blocks if isinstance(block, Table) for row in block.rows}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_each_message_and_each_of_its_rules_is_in_the_document(client: ClientConfig) -> None:
    document = rules_of_engagement(CONFIG, client)
    layouts = dictionary(client.begin_string, application(client)).messages
    for msg_type, name in TAKEN.items():
        assert any(s.title == f"{name}({msg_type})" for s in document.sections) == (msg_type in layouts)
    rows = table(document, "NewOrderSingle")
    members = typed_dictionary(application(client)).messages["D"].tags
    assert {str(rule.tag) for rule in RULES if str(rule.tag) in members} <= rows.keys()
    assert {str(tag) for tag in FIXED if str(tag) in members} <= rows.keys()


def test_presence_is_said_as_it_is_checked() -> None:
    rows = table(rules_of_engagement(CONFIG, CLIENTS["4.4, everything"]), "NewOrderSingle")
    said = {tag: row[2] for tag, row in rows.items()}
    assert said["99"] == "required with OrdType(40) 3, 4, else not allowed"
    assert said["44"] == "required with OrdType(40) 2, 4, B; allowed only with OrdType(40) 2, 4, B, P"
    assert said["126"] == "required with TimeInForce(59) 6, or ExpireDate(432), else not allowed"
    assert said["114"] == "required with Side(54) 5"
    assert (said["11"], said["100"], said["110"]) == ("required", "not allowed", "optional")
    simple = ClientConfig(name="PLAIN", accounts=("ACC1",))
    plain = table(rules_of_engagement(CONFIG, simple), "NewOrderSingle")
    assert (plain["99"][2], plain["211"][2], plain["111"][2]) == ("not allowed",) * 3
    assert plain["40"][3] == "1 market, 2 limit"


def test_every_reason_is_explained() -> None:
    assert REJECTS.keys() == set(OrdRejReason)
    assert CANCEL_REJECTS.keys() == set(CxlRejReason)


# --- FIXatdl ---


@pytest.mark.parametrize("client", [ANYBODY, *CLIENTS.values()], ids=["anybody", *CLIENTS])
def test_the_tickets_follow_the_schema(client: ClientConfig) -> None:
    assert problems(atdl(client)) == []


@pytest.mark.parametrize(
    ("was", "becomes", "problem"),
    [
        ('strategyIdentifierTag="847" ', "", "lacks strategyIdentifierTag"),
        ('tag957Support="true"', 'tag957Support="false"', "tag957Support is not true"),
        ('parameterRef="slices"', 'parameterRef="slice"', "unknown parameters"),
        ('xsi:type="Int_t"', 'xsi:type="Integer_t"', "type='Integer_t'"),
        ('use="required"', 'use="needed"', "use='needed'"),
        ('ID="c_slices"', 'ID="c slices"', "ID='c slices'"),
        ('operator="NX" ', "", "one operator or one logicOperator"),
        ("FIXatdl-1-1/Core", "FIXatdl-1-2/Core", "the root is"),
        ("lay:StrategyPanel ", "lay:StrategyPanel indent='2' ", "has no attribute indent"),
    ],
)
def test_the_rules_find_what_is_wrong(was: str, becomes: str, problem: str) -> None:
    text = atdl()
    assert was in text
    assert any(problem in found for found in problems(text.replace(was, becomes)))


def test_a_client_gets_its_own_tags_and_codes_and_only_what_it_can_send() -> None:
    text = atdl(EMS2)
    assert 'strategyIdentifierTag="9100"' in text
    assert re.search(r'name="duration_s" xsi:type="Int_t" use="required"[^>]* fixTag="9101"', text)
    assert 'wireValue="1001"' in text
    assert "twap" not in atdl(CLIENTS["4.2 without tags"])


# --- one place ---

PACE = Parameter("pace", False, 2, 9, "how fast", "5")
ORDER = (
    "8=FIX.4.4|35=D|49=EMS1|56=F|34=2|52=20240102-10:00:00|11=X|1=ACC1|55=ALFA|54=1|60=20240102-10:00:00|38=300|40=1"
    "|847=twap|957=2|958=duration_s|959=1|960=60|958=pace|959=1|960={}|"
)


def answer(value: str) -> str:
    """Why the order with that pace is refused, "" if it is taken."""
    command = to_command(parse(ORDER.format(value).replace("|", "\x01").encode()), EMS1)
    assert isinstance(command, NewParent)
    assert command.reject is None
    try:
        strategies.parse(command, AT_NS)
    except ValueError as error:
        return str(error)
    return ""


def test_a_parameter_added_in_one_place_is_checked_documented_and_on_the_ticket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def said() -> tuple[str, bool, bool]:
        document = markdown(rules_of_engagement(CONFIG, EMS1))
        row = "| pace | in the group | optional | a whole number from 2 to 9 |"
        return answer("10"), row in document, "pace" in atdl()

    assert said() == ("unknown parameter 'pace': expected duration_s, slices", False, False)
    monkeypatch.setattr(twap, "PARAMETERS", (*twap.PARAMETERS, PACE))
    assert said() == ("pace '10': expected a whole number from 2 to 9", True, True)
    assert answer(example_value(PACE)) == ""
    assert 'minValue="2" maxValue="9"' in atdl()
    assert f"958=pace|959=1|960={example_value(PACE)}|" in markdown(rules_of_engagement(CONFIG, EMS1))
    assert problems(atdl()) == []


def test_every_parameter_of_every_strategy_is_in_the_document() -> None:
    rows = table(rules_of_engagement(CONFIG, EMS1), "Strategies")
    assert rows.keys() == {p.name for strategy in STRATEGIES.values() for p in strategy.PARAMETERS}


# --- form and command ---

SMALL = Document(
    "A < B", [Section("One & two", [Text("say `a|b` & <c>"), Table(("x",), (("1|2",),)), Code("8=FIX<|")])]
)


def test_both_forms_keep_what_is_said() -> None:
    text = "# A < B\n\n## One & two\n\nsay `a|b` & <c>\n\n| x |\n|---|\n| 1\\|2 |\n\n```\n8=FIX<|\n```\n"
    assert markdown(SMALL) == text
    page = html_page(SMALL)
    assert "<h1>A &lt; B</h1>" in page
    assert "<p>say <code>a|b</code> &amp; &lt;c&gt;</p>" in page
    assert "<td>1|2</td>" in page
    assert "<pre>8=FIX&lt;|</pre>" in page
    assert "http" not in page


def test_the_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "roe.html"
    assert cli.main(["spec", "roe", "--client", "EMS1", "--out", str(out)]) == 0
    assert out.read_text("utf-8") == html_page(rules_of_engagement(CONFIG, EMS1))
    assert cli.main(["spec", "roe", "--client", "EMS2", "--format", "md"]) == 0
    assert capsys.readouterr().out == markdown(rules_of_engagement(CONFIG, EMS2))
    assert cli.main(["spec", "atdl", "--client", "EMS2"]) == 0
    assert capsys.readouterr().out == atdl(EMS2, "FAIRLEAD")
    assert cli.main(["spec", "roe", "--client", "EMS3"]) == 2
    assert capsys.readouterr().err == "fairlead spec: there is no client 'EMS3'; expected EMS1, EMS2\n"


# --- the session ---

DESK = EMS1.session
BOOK = ClientConfig("BOOK", accounts=("ACC1",), session=DESK, drop_copy=True)


def written(client: ClientConfig = EMS1, **options: object) -> str:
    """The document of a client among those of the config, whose session has these options."""
    sessions = {DESK: replace(CONFIG.sessions[DESK], **options)}
    others = tuple(other for other in CONFIG.clients if other.name != client.name)
    return markdown(rules_of_engagement(replace(CONFIG, sessions=sessions, clients=(*others, client)), client))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_messages_per_s": 50}, "may send in a second | 50 |\n| One beyond them | ends the session"),
        ({"max_messages_per_s": 50, "on_excess": "queue"}, "One beyond them | waits"),
        ({"max_messages_per_s": 50, "on_excess": "reject"}, "is refused: BusinessMessageReject(j)"),
        ({"max_message_bytes": 4096, "announce_max_message_size": True}, "4,096, announced as MaxMessageSize(383)"),
        ({"logon_timeout_s": 3}, "| Time for the Logon(A) of a connection | 3 s |"),
        ({"logout_timeout_s": 4}, "| Time for the answer to our Logout(5) | 4 s |"),
        ({"sending_time_tolerance_s": 0}, "| SendingTime(52) off our clock, at most | not compared |"),
        ({"max_held_messages": 7}, "| Messages beyond a gap that are kept | 7; later"),
        ({"max_pending_resends": 2}, "may wait for their answer | 2; one more ends the session |"),
        ({"resend_burst": 9}, "| Messages of a resend that go out at once | 9 |"),
        ({"reset_on_logon": True}, "Logon(A), and with a Logon(A) that has MsgSeqNum(34)=1 |"),
        ({"reset_on_logout": True}, "Logon(A), and after a Logout(5) |"),
        ({"reset_on_disconnect": True}, "Logon(A), and after each disconnect |"),
        ({"schedule": schedule_from_text("mon,tue 07:00-18:00 UTC")}, "| Open | mon,tue 07:00:00-18:00:00 UTC |"),
        ({"schedule": schedule_from_text("07:00-18:00 Europe/London")}, "| Numbers | begin at 1 with each session"),
        ({"schedule": schedule_from_text("reset 17:00 Asia/Tokyo")}, "| At 17:00:00 Asia/Tokyo | the client sends"),
    ],
)  # fmt: skip
def test_what_a_session_is_made_with_is_said(options: dict[str, object], said: str) -> None:
    assert said not in written()
    assert said in written(**options)


@pytest.mark.parametrize(("begin_string", "reason"), [("FIX.4.2", "0"), ("FIX.4.4", "0"), ("FIXT.1.1", "8")])
def test_the_refusal_of_an_excess_is_the_one_that_is_sent(begin_string: str, reason: str) -> None:
    text = written(replace(EMS1, begin_string=begin_string), max_messages_per_s=1, on_excess="reject")
    assert f"BusinessRejectReason(380)={reason}; " in text
    now_ns, config = AT_NS, {"begin_string": begin_string, "sender_comp_id": "F", "target_comp_id": "C"}
    session = Session(
        SessionConfig(**config, role="acceptor", max_messages_per_s=1, on_excess="reject"), MemoryStore(), now_ns
    )
    session.connected(now_ns)
    compose = Composer(begin_string, "C", "F").compose
    version = b"1137=9\x01" if begin_string == "FIXT.1.1" else b""
    for number, (msg_type, body) in enumerate([("A", b"98=0\x01108=30\x01" + version), ("D", b"11=1\x01")], 1):
        session.receive(compose(msg_type, number, now_ns, body), now_ns)
        while session.next_event(now_ns) is not None:
            pass
    (_, refused) = session.take_outbox()
    assert (parse(refused.raw).msg_type, parse(refused.raw).get(380)) == ("j", reason)


def test_who_may_connect_is_said() -> None:
    text = written(replace(EMS1, name="DESK*", allow=("10.0.0.0/8",), max_sessions=7))
    assert "Each SenderCompID(49) like `DESK*`" in text and "7 of them at most" in text
    assert "| Addresses of the client | 10.0.0.0/8 |" in text
    assert "`" not in written().partition("## Session times")[0]
    assert cli.main(["spec", "roe", "--client", "EMS1", "--format", "md"]) == 0


def test_copies_are_said_to_both_sides_and_shown_as_the_gateway_makes_them() -> None:
    config = replace(CONFIG, clients=(*CONFIG.clients, BOOK))
    assert "| ACC1 | BOOK |\n| ACC2 | nobody |" in markdown(rules_of_engagement(config, EMS1))
    for begin_string, mark, party in (("FIX.4.4", "Y", 448), ("FIX.4.2", None, 109)):
        copy = replace(BOOK, begin_string=begin_string)
        document = rules_of_engagement(replace(config, clients=(*CONFIG.clients, copy)), copy)
        assert not [section.title for section in document.sections if section.title == "Messages"]
        (code,) = [block.text for section in document.sections for block in section.blocks if isinstance(block, Code)]
        message = parse(code.replace("|", "\x01").encode())
        assert message.defect is None
        assert (message.get(797), message.get(party), message.target_comp_id) == (mark, EMS1.name, "BOOK")
        assert ("CopyMsgIndicator(797)=Y" in markdown(document)) == (mark is not None)
        assert f"({party})" in markdown(document)


def test_what_only_a_restart_changes_is_said_in_words() -> None:
    assert WORDS.keys() == set(NOT_CLIENT)
    assert all(words in written() for words in WORDS.values())
