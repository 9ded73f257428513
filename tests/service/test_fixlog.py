"""Messages are found in any text, named, and chosen; what is none is counted, and no text breaks it."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.dictionary import dictionary, load_xml
from fix.framing import frame
from service.cli import main
from service.fixlog import Entry, Names, Reader, Selection, brief, head, rows
from service.fixlog_files import followed

DATA = "95=7|96=a\x0110=1b"


def message(text: str, begin_string: str = "FIX.4.4") -> str:
    """A whole message: "D 2 A B" and then fields, which `frame` closes; | stands for SOH."""
    start, _, body = text.partition("|")
    msg_type, number, sender, target = start.split()
    header = f"35={msg_type}|34={number}|49={sender}|56={target}|52=20240102-14:30:00.000|"
    return frame(begin_string, (header + body + "|").replace("|", "\x01").encode("latin-1")).decode("latin-1")


def read(text: str) -> tuple[list[Entry], Reader]:
    reader = Reader()
    entries = [entry for line in text.splitlines(keepends=True) for entry in reader.feed(line)]
    reader.finish()
    return entries, reader


def shown(entry: Entry, names: Names | None = None) -> list[str]:
    dictionary = (names or Names()).dictionary(entry)
    return [
        "".join(text for text, _ in spans).rstrip() for spans in (head(entry, dictionary), *rows(entry, dictionary))
    ]


@pytest.mark.parametrize("separator", ["\x01", "|", " | ", "^A", "<SOH>", "\\x01", ";"])
@pytest.mark.parametrize("before", ["", "2024-01-02 14:30:00,123 INFO [7] IN: "])
@pytest.mark.parametrize("ends", [True, False], ids=["closed", "open"])
def test_every_way_to_write_a_message_down(separator: str, before: str, ends: bool) -> None:
    raw = message("D 2 A B|11=X1|54=1|58=a=b")
    text = raw.replace("\x01", separator)
    text = text if ends else text.removesuffix(separator)
    (entry,), reader = read(f"{before}{text}\r\n")
    assert "".join(f"{tag}={value}\x01" for tag, value in entry.pairs) == raw
    assert (entry.prefix, entry.faults, reader.bad) == (before.strip(), [], 0)


def test_what_stands_around_messages() -> None:
    one, two = message("0 2 A B|112=ONE"), message("0 3 A B|112=TWO")
    text = f"started\n{one}{two}\n\n'{one}', \"{two.removesuffix(chr(1))}\"\nend\n"
    entries, reader = read(text)
    assert [(entry.line, entry.get("112")) for entry in entries] == [(2, "ONE"), (2, "TWO"), (4, "ONE"), (4, "TWO")]
    assert (reader.lines, reader.messages, reader.plain, reader.bad) == (5, 4, 3, 0)


def test_data_may_hold_anything_even_what_looks_like_the_end() -> None:
    raw = message("A 1 A B|98=0|95=10|96=a\x0110=123\x01b|108=30")
    (entry,), _ = read(raw)
    assert (entry.get("96"), entry.get("108"), entry.faults) == ("a\x0110=123\x01b", "30", [])
    raw = message("B 1 A B|148=x|95=5|96=one\n2|58=two\nlines")
    (entry,), reader = read(f"{raw}\nplain\n")
    assert (entry.get("96"), entry.get("58"), entry.faults, reader.plain) == ("one\n2", "two\nlines", [], 1)


def test_a_separator_that_also_stands_in_a_value() -> None:
    (entry,), _ = read(message("0 2 A B|58=ONE").replace("\x01", "|").replace("ONE", "A|B|"))
    assert entry.get("58") == "A|B|"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8=FIX.4.4|9=5|35=0|34=2|", "line 1: there is no CheckSum(10)"),
        ("plain\n8=FIX.4.4|9=5|35=0\n" + "8=FIX.4.4|9=5|35=0|10=000|", "line 2: there is no CheckSum(10)"),
        ("8=FIX.4.4|9=5|35=0|8=FIX.4.4|9=5|35=0|10=000|", "line 1: there is no CheckSum(10)"),
        ("8=FIX.4.4|9=5|35=0\n" + "x" * 70_000, "line 1: there is no CheckSum(10)"),
    ],
)
def test_what_only_begins_like_a_message_is_counted(text: str, says: str) -> None:
    _, reader = read(text)
    assert reader.bad == 1
    assert reader.first_bad.startswith(says)


def test_what_a_framer_would_refuse_is_shown_with_its_fault() -> None:
    raw = message("0 2 A B|112=ONE")
    (wrong,), _ = read(raw.replace("ONE", "TWO"))
    (short,), _ = read(raw.replace("ONE", "O"))
    assert wrong.faults == [f"CheckSum(10) should be {message('0 2 A B|112=TWO')[-4:-1]}"]
    assert short.faults == [f"BodyLength(9) should be {len(raw) - 9 - 6 - 7 - 2}"]


def test_fields_values_and_groups_have_their_names() -> None:
    raw = message("D 2 A B|11=X1|18=1 6|54=1|78=2|79=ACC1|539=1|524=P|79=ACC2|55=IBM|554=secret|9999=\x1b[2J")
    (entry,), _ = read(raw)
    assert shown(entry) == [
        "20240102-14:30:00.000 A -> B  FIX.4.4 #2  NewOrderSingle (D)",
        "     11 ClOrdID                  X1",
        "     18 ExecInst                 1 6  NOT_HELD PARTICIPATE_DO_NOT_INITIATE",
        "     54 Side                     1  BUY",
        "     78 NoAllocs                 2",
        "  -    79 AllocAccount           ACC1",
        "      539 NoNestedPartyIDs       1",
        "    -   524 NestedPartyID        P",
        "  -    79 AllocAccount           ACC2",
        "     55 Symbol                   IBM",
        "    554 Password                 ***",
        "   9999 ?                        \\x1b[2J",
    ]
    line = "".join(text for text, _ in brief(entry, dictionary("FIX.4.4")))
    assert line.endswith(
        "  Side=BUY  NoAllocs=2  AllocAccount=ACC1  NoNestedPartyIDs=1  NestedPartyID=P  "
        "AllocAccount=ACC2  Symbol=IBM  Password=***  9999=\\x1b[2J"
    )


def test_a_message_of_no_known_version_or_type() -> None:
    (entry,), _ = read("8=FIX.9.9|9=5|35=xyz|34=2|11=A|10=000|")
    assert shown(entry)[0].startswith("no SendingTime         ->   FIX.9.9 #2  ? (xyz)")
    assert shown(entry)[1:] == ["     11 ?                        A"]


def test_the_logon_says_which_version_later_messages_are_of() -> None:
    names = Names()
    order = message("D 2 A B|11=X|2422=1", "FIXT.1.1")
    for version, name in (("7", "?"), ("9", "OrderRequestID")):
        logon = message(f"A 1 B A|98=0|108=30|1137={version}", "FIXT.1.1")
        entries, _ = read(f"{logon}\n{order}")
        said = [shown(entry, names) for entry in entries]
        assert said[1][-1].split()[1] == name
    (entry,), _ = read(message("D 3 A B|1128=7|2422=1", "FIXT.1.1"))
    assert shown(entry, names)[-1].split()[1] == "?"


def test_a_users_own_dictionary() -> None:
    xml = """<fix major="4" minor="4"><fields>
        <field number="9999" name="Desk" type="CHAR"><value enum="7" description="BLUE"/></field></fields></fix>"""
    names = Names(load_xml(xml, dictionary("FIX.4.4")))
    (entry,), _ = read(message("0 2 A B|9999=7"))
    assert shown(entry, names)[1] == "   9999 Desk                     7  BLUE"


# --- what is shown ---

STORY = "\n".join(
    message(text)
    for text in (
        "D 2 A B|11=ONE|54=1",
        "D 3 A B|11=OTHER|54=2",
        "8 2 B A|11=ONE|37=O1|39=0",
        "G 4 A B|11=TWO|41=ONE|54=1",
        "8 3 B A|11=TWO|41=ONE|37=O1|39=5",
        "F 5 A B|11=THREE|41=TWO",
        "3 4 B A|45=5|58=no",
        "3 5 B A|45=3|58=no",
        "Q 6 A B|37=O1|17=E",
        "8 6 B A|11=OTHER|37=O2|39=2",
        "D 2 A C|11=ONE|54=1",
    )
)


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (Selection(), [*"23243545662"]),
        (Selection([("54", "1")]), [*"242"]),
        (Selection([("Side", "sell")]), [*"3"]),
        (Selection([("35", "8"), ("OrdStatus", "FILLED")]), [*"6"]),
        (Selection([("Nonsense", "1")]), []),
        (Selection(comp_ids=("C",)), [*"2"]),
        (Selection(comp_ids=("B", "A"), fields=[("11", "ONE")]), [*"22"]),
        (Selection(cl_ord_id="OTHER"), [*"356"]),
        (Selection(cl_ord_id="THREE", comp_ids=("B",)), [*"2243546"]),
        (Selection(cl_ord_id="ONE", comp_ids=("B",)), [*"2243546"]),
        (Selection(cl_ord_id="NONE"), []),
    ],
)
def test_selections(selection: Selection, numbers: list[str]) -> None:
    entries, _ = read(STORY)
    for entry in entries:
        selection.learn(entry)
    assert [entry.get("34") for entry in entries if selection.takes(entry, dictionary("FIX.4.4"))] == numbers


@given(
    st.lists(st.sampled_from(["8=FIX.4.4", "|", "\x01", "9=", "12", "10=", "000", "95=", "96=", "=", "a", "\n", "é"]))
)
def test_no_text_breaks_it(pieces: list[str]) -> None:
    entries, reader = read("".join(pieces))
    assert reader.messages == len(entries)
    for entry in entries:
        assert shown(entry)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 9999), st.text(st.characters(max_codepoint=255, exclude_characters="\x01"), min_size=1)
        )
    )
)
def test_what_was_framed_is_found_whole(fields: list[tuple[int, str]]) -> None:
    kept = [(tag, value) for tag, value in fields if str(tag) not in ("8", "9", "10") and "8=FIX" not in value]
    kept = [(tag, value.replace("\r", "").replace("\n", "") or "x") for tag, value in kept]
    kept = [(tag, value) for tag, value in kept if str(tag) not in dictionary("FIX.4.4").data_lengths]
    raw = message("U1 2 A B" + "".join(f"|{tag}=" + value.replace("|", "/") for tag, value in kept))
    reader = Reader()
    (entry,) = reader.feed(raw)
    assert "".join(f"{tag}={value}\x01" for tag, value in entry.pairs) == raw


# --- files ---


def test_following_a_file_that_grows_and_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "fix.log"
    path.write_text("one\ntw")
    steps = iter(
        [
            lambda: path.open("a").write("o\nthree\n"),
            lambda: path.write_text("f\n"),
            lambda: path.unlink(),
            lambda: path.write_text("five\n"),
        ]
    )
    found = []
    for line in followed(path, wait=lambda seconds: next(steps)()):
        found.append(line)
        if line == "five":
            break
    assert found == ["one", "two", "three", "f", "five"]


def test_an_order_is_followed_while_its_log_grows(tmp_path: Path) -> None:
    path = tmp_path / "fix.log"
    first, *later = STORY.splitlines()
    path.write_text(f"{first}\n", "latin-1")
    command = [sys.executable, "-m", "service.cli", "fixlog", str(path), "--follow", "--brief", "--order", "ONE"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert "NewOrderSingle (D)" in process.stdout.readline()
            with path.open("a", encoding="latin-1") as log:
                log.write(f"{later[0]}\nnothing\n{later[1]}\n{later[2][:30]}")
                log.flush()
                assert "ExecutionReport (8)" in process.stdout.readline()
                log.write(f"{later[2][30:]}\n{later[4]}\n")  # a replace, and the cancel of what it is now called
            assert "ClOrdID=TWO  OrigClOrdID=ONE" in process.stdout.readline()
            assert "OrderCancelRequest (F)" in process.stdout.readline()
        finally:
            process.kill()


def test_from_the_command_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fix.log"
    path.write_text(f"plain\n8=FIX.4.4|9=1|\n{STORY}\n", "latin-1")
    assert main(["fixlog", str(path), "--brief", "--order", "TWO", "--session", "A:B"]) == 0
    out, err = capfd.readouterr()
    assert [line.split("  ")[2] for line in out.splitlines()][:2] == ["NewOrderSingle (D)", "ExecutionReport (8)"]
    assert len(out.splitlines()) == 7
    assert err == (
        "fixlog: 11 messages in 13 lines, 7 shown; 1 lines without a message; "
        "1 that could not be read, the first: line 2: there is no CheckSum(10) to end the message\n"
    )
    assert main(["fixlog", str(path), "--order", "NOBODY"]) == 1
    assert main(["fixlog", str(path), "--filter", "D"]) == 2
    assert main(["fixlog", "-", "--follow"]) == 2
    capfd.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(STORY.replace("\x01", "^A").encode())))
    assert main(["fixlog", "-", "--order", "OTHER"]) == 0
    assert "    54 Side                     2  SELL" in capfd.readouterr().out
