"""What comes back from the echo, byte for byte where it matters, and that it is a process that can be started."""

import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from fix.dictionary import Dictionary, dictionary, load_xml
from fix.endpoint import Output
from fix.framing import Framer, frame
from fix.message import Message, parse
from fix.validation import FULL
from fix.values import NS_PER_S, write_timestamp
from service.echo import MAX_REMEMBERED, Echo, session_config

NOW_NS = 1_704_205_800 * NS_PER_S
ORDER = "60=20240102-14:30:00|55=INTC|54=1|40=1|21=3|11=ID|38=100"


class Client:
    """Says what it is told to, and takes apart what comes back."""

    def __init__(
        self,
        *sessions: str,
        begin_string: str = "FIX.4.2",
        dictionary: Dictionary | None = None,
        **settings: object,
    ) -> None:
        self.told: list[tuple[str, str]] = []
        configs = [session_config(text, **settings) for text in sessions or [f"{begin_string}:ECHO:CLIENT"]]
        self.echo = Echo(configs, NOW_NS, lambda event, text: self.told.append((event, text)), dictionary)
        self.begin_string = begin_string
        self.link = 0
        self.closed: list[int] = []
        self.connect()

    def connect(self) -> None:
        self.link += 1
        self.next_out = 1
        self.took(self.echo.connected(self.link, "echo", NOW_NS))

    def raw(self, msg_type: str, body: str, header: str = "", comp_ids: str = "49=CLIENT|56=ECHO") -> bytes:
        fields = [f"35={msg_type}", f"34={self.next_out}", comp_ids, f"52={write_timestamp(NOW_NS)}", header, body]
        self.next_out += 1
        text = "|".join(filter(None, fields)) + "|"
        return frame(self.begin_string, text.replace("|", "\x01").encode("latin-1"))

    def send(self, msg_type: str, body: str = "", header: str = "", **more: str) -> list[str]:
        return self.took(self.echo.receive(self.link, self.raw(msg_type, body, header, **more), NOW_NS))

    def took(self, output: Output) -> list[str]:
        self.closed += output.closes
        found = []
        for link, data in output.writes:
            assert link == self.link
            framer = Framer()
            framer.feed(data)
            while (raw := framer.next_frame()) is not None:
                found.append(shown(parse(raw)))
        return found

    def logon(self, heart_bt_int: int = 7, more: str = "") -> list[str]:
        return self.send("A", f"98=0|108={heart_bt_int}{more}")


def shown(message: Message) -> str:
    pairs = zip(message.tags, message.values, strict=True)
    return "|".join(f"{tag}={value}" for tag, value in pairs if tag not in ("8", "9", "10", "52"))


@pytest.mark.parametrize(
    ("msg_type", "body"),
    [
        ("D", ORDER),
        ("d", "320=R1|322=D1|323=1|393=1"),
        ("C", "164=1|94=0|147=News|33=2|58=caf\xe9 a=b|58=two|95=3|96=a\x01b"),
    ],
)
def test_what_is_echoed_keeps_its_fields_in_their_order(msg_type: str, body: str) -> None:
    client = Client()
    client.logon()
    assert client.send(msg_type, body) == [f"35={msg_type}|34=2|49=ECHO|56=CLIENT|{body}"]


def test_the_header_of_an_echo_is_its_own_except_for_what_the_application_said() -> None:
    client = Client()
    client.logon()
    client.next_out = 3
    assert client.send("D", ORDER) == ["35=2|34=2|49=ECHO|56=CLIENT|7=2|16=0"]
    client.next_out = 2
    resent = client.send("D", ORDER, header="43=Y|97=Y|50=DESK|115=JCD|122=20240102-14:30:00.000|369=1")
    routed = f"49=ECHO|56=CLIENT|97=Y|50=DESK|115=JCD|{ORDER}"
    assert resent == [f"35=D|34=3|{routed}", f"35=D|34=4|49=ECHO|56=CLIENT|{ORDER}"]


def test_a_possible_resend_is_dropped_only_if_the_order_was_seen_in_the_session() -> None:
    client = Client(reset_on_logon=True)
    client.logon()
    echoed = f"49=ECHO|56=CLIENT|97=Y|{ORDER}"
    assert client.send("D", ORDER, header="97=Y") == [f"35=D|34=2|{echoed}"]
    assert client.send("D", ORDER, header="97=Y") == []
    assert client.send("D", ORDER) == [f"35=D|34=3|49=ECHO|56=CLIENT|{ORDER}"]
    client.echo.disconnected(client.link, NOW_NS)
    client.connect()
    client.logon()
    assert client.send("D", ORDER, header="97=Y") == [f"35=D|34=2|{echoed}"], "a reset begins a session anew"


def test_what_a_session_has_seen_is_bounded() -> None:
    client = Client()
    client.logon()
    (session,) = client.echo.sessions.values()
    client.echo.application.cl_ord_ids[session] = dict.fromkeys(map(str, range(MAX_REMEMBERED)))
    assert client.send("D", ORDER, header="97=Y")
    assert not client.send("D", ORDER, header="97=Y")
    assert client.send("D", ORDER.replace("11=ID", "11=0"), header="97=Y"), "the first was forgotten"


def test_everything_is_checked_against_the_dictionary() -> None:
    client = Client(validation=FULL)
    client.logon()
    assert client.send("D", f"{ORDER}|9999=7")[0].startswith("35=3|34=2|")
    assert "373=5" in client.send("D", ORDER.replace("54=1", "54=x"))[0].split("|")
    assert client.send("D", ORDER) == [f"35=D|34=4|49=ECHO|56=CLIENT|{ORDER}"]


def test_a_dictionary_of_ones_own_defines_more_for_its_version_only() -> None:
    xml = """<fix major="4" minor="2"><fields><field number="9999" name="Desk" type="INT"/></fields>
        <messages><message name="Email" msgtype="C" msgcat="app"><field name="Desk" required="Y"/></message></messages>
        </fix>"""
    own = load_xml(xml, dictionary("FIX.4.2"))
    client = Client(validation=FULL, dictionary=own)
    client.logon()
    assert client.send("C", "9999=7") == ["35=C|34=2|49=ECHO|56=CLIENT|9999=7"]
    assert client.send("C", "9999=x")[0].startswith("35=3|")
    other = Client(begin_string="FIX.4.3", validation=FULL, dictionary=own)
    other.logon()
    assert other.send("C", "9999=7")[0].startswith("35=3|")


def test_before_fix_4_2_there_is_no_business_reject() -> None:
    client = Client(begin_string="FIX.4.0")
    client.logon()
    assert client.send("8", "37=1") == ["35=3|34=2|49=ECHO|56=CLIENT|45=2|58=Unsupported Message Type"]


def test_other_messages_are_refused() -> None:
    client = Client()
    assert client.logon() == ["35=A|34=1|49=ECHO|56=CLIENT|98=0|108=7"], "the client's interval"
    refused = "35=j|34=2|49=ECHO|56=CLIENT|45=2|372=8|380=3|58=Unsupported Message Type"
    body = "37=1|17=1|20=0|150=0|39=0|55=X|54=1|151=1|14=0|6=0"
    (answer,) = client.send("8", body)
    assert sorted(answer.split("|")) == sorted(refused.split("|"))


def test_what_a_client_did_wrong_is_told_and_one_that_takes_little_gets_little() -> None:
    client = Client(begin_string="FIX.4.4", validation=FULL)
    client.logon(more="|383=120")
    order = "11=ID|55=INTC|54=1|60=20240102-14:30:00|38=100|40=1"
    (reject,) = client.send("D", order)
    assert "|45=2|372=D|373=99|58=" in reject
    assert "above the peer's MaxMessageSize(383)=120" in reject
    client.send("1", "112=X|112=Y")
    assert ("refusing", "ECHO->CLIENT: its message 3: tag 112 appears more than once") in client.told
    assert client.send("1", "112=X") == ["35=0|34=4|49=ECHO|56=CLIENT|112=X"]


def test_sessions_are_told_apart_by_version_and_comp_ids() -> None:
    client = Client("FIX.4.4:ECHO:CLIENT", "FIX.4.2:ECHO:OTHER", "FIX.4.2:ECHO:CLIENT")
    assert client.logon() == ["35=A|34=1|49=ECHO|56=CLIENT|98=0|108=7"]
    other = Client()
    other.echo, other.told, other.link = client.echo, client.told, 1
    other.connect()
    assert other.send("A", "98=0|108=5", comp_ids="49=OTHER|56=ECHO") == ["35=A|34=1|49=ECHO|56=OTHER|98=0|108=5"]
    for begin_string, comp_ids in (("FIX.4.2", "49=CLIENT|56=ECHO"), ("FIX.4.4", "49=OTHER|56=ECHO")):
        other.begin_string = begin_string
        other.link += 1
        other.connect()
        assert other.send("A", "98=0|108=5", comp_ids=comp_ids) == []
        assert other.closed.pop() == other.link
    said = [text for event, text in client.told if event == "refused"]
    assert said[0] == "session ECHO->CLIENT FIX.4.2 is connected already"
    assert "no session for BeginString(8)=FIX.4.4 SenderCompID(49)=OTHER" in said[1]


def test_timers_and_the_end() -> None:
    client = Client()
    client.logon(heart_bt_int=7)
    assert client.echo.next_timer_ns() == NOW_NS + 7 * NS_PER_S
    assert client.took(client.echo.timer(NOW_NS + 7 * NS_PER_S)) == ["35=0|34=2|49=ECHO|56=CLIENT"]
    assert client.took(client.echo.logout("closing", NOW_NS)) == ["35=5|34=3|49=ECHO|56=CLIENT|58=closing"]
    assert client.send("5") == []
    assert client.closed == [1]
    client.echo.disconnected(1, NOW_NS)
    assert not client.echo.is_connected
    assert [event for event, _ in client.told] == ["logged_on", "logged_out", "disconnected"]


def test_a_stranger_waits_until_its_time_is_up() -> None:
    client = Client()
    due_ns = client.echo.next_timer_ns()
    assert due_ns is not None
    client.took(client.echo.timer(due_ns))
    assert client.closed == [1]
    assert client.told == [("refused", "no Logon(A) in time")]


@pytest.mark.parametrize("text", ["", "FIX.4.4", "FIX.4.4:A", "FIX.4.4::B", "FIX.4.4:A:B:C:D"])
def test_a_session_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not BEGIN_STRING"):
        session_config(text)


def test_the_process_serves_on_loopback_and_ends_when_asked_to() -> None:
    command = [
        sys.executable,
        "-m",
        "service.cli",
        "echo",
        "--port",
        "0",
        "--session",
        "FIX.4.2:ECHO:CLIENT",
        "FIX.4.4:ECHO:CLIENT",
    ]
    with subprocess.Popen([*command, "--reset-on-logon"], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            ready = json.loads(process.stderr.readline())
            host, _, port = ready["address"].partition(":")
            assert (ready["event"], host) == ("echo_ready", "127.0.0.1")
            now = write_timestamp(time.time_ns())
            body = f"35=A|34=1|49=CLIENT|56=ECHO|52={now}|98=0|108=7|".replace("|", "\x01").encode()
            with socket.create_connection((host, int(port)), timeout=5) as link:
                link.sendall(frame("FIX.4.2", body))
                assert b"\x01108=7\x01" in link.recv(4096)
                process.send_signal(signal.SIGTERM)
                assert b"35=5\x01" in link.recv(4096)
            assert process.wait(5) == 0
        finally:
            process.kill()
