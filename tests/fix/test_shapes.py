"""A message in a shape that is known is read as one that nobody has seen before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.dictionary import typed_dictionary
from fix.errors import FieldError
from fix.framing import frame
from fix.message import Message, parse
from fix.shapes import has_room

HEAD = "34=7|49=V|56=F|52=20240102-10:00:00.123|"
ENTRY = "279=0|269=0|55=A|270=1.5|271=3|"
CASES = {
    "no group": "35=S|" + HEAD + "117=q|55=A|132=1|134=2|",
    "possible duplicate": "35=S|34=7|43=Y|49=V|56=F|52=20240102-10:00:00|122=20240102-09:00:00|117=q|55=A|",
    "one entry": "35=X|" + HEAD + "262=r|268=1|" + ENTRY,
    "two entries": "35=X|" + HEAD + "262=r|268=2|" + ENTRY + "279=1|269=2|55=A|270=2|271=3|277=1|",
    "wrong count": "35=X|" + HEAD + "262=r|268=2|" + ENTRY,
    "count with a zero in front": "35=X|" + HEAD + "262=r|268=01|" + ENTRY,
    "no number as count": "35=X|" + HEAD + "262=r|268=x|" + ENTRY,
    "another first field": "35=X|" + HEAD + "262=r|268=1|269=0|279=0|55=A|270=1.5|271=3|",
    "time that is none": "35=S|34=7|49=V|56=F|52=yesterday|117=q|55=A|",
    "field that is there twice": "35=S|" + HEAD + "117=q|55=A|55=B|",
    "empty value": "35=S|" + HEAD + "117=|55=A|",
    "value with a =": "35=S|" + HEAD + "117=a=b|55=A|",
    "field without a =": "35=S|" + HEAD + "117=a=55|c|55=A|",
    "data field": "35=S|" + HEAD + "117=q|55=A|95=3|96=a|b|",
    "unknown type": "35=ZZ|" + HEAD + "1=2|3=4|",
    "unknown type, a field twice": "35=ZZ|" + HEAD + "1=2|1=4|",
    "no number": "35=S|34=|49=V|56=F|52=20240102-10:00:00|117=q|55=A|",
    "own field": "35=S|" + HEAD + "117=q|55=A|5001=x|",
}
WANTED = ("268", "269", "55", "270", "277")


def raw(text: str) -> bytes:
    return frame("FIX.4.4", text.replace("|", "\x01").encode("latin-1"))


def everything(message: Message) -> dict[str, object]:
    names = ("raw", "begin_string", "version", "msg_type", "sender_comp_id", "target_comp_id", "msg_seq_num")
    names += ("poss_dup", "poss_resend", "sending_time_ns", "tags", "values", "fields")
    said: dict[str, object] = {name: getattr(message, name) for name in names}
    said["defect"] = str(message.defect)
    for name, read in (("entries", lambda: message.entries(268)), ("rows", lambda: message.rows(WANTED))):
        try:
            said[name] = read()
        except FieldError as error:
            said[name] = (error.tag, error.reason, error.text)
    return said


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_the_second_of_a_shape_is_read_as_the_first(text: str) -> None:
    dictionary = typed_dictionary("FIX.4.4")
    dictionary.shapes.clear()
    first = everything(parse(raw(text), dictionary))
    assert everything(parse(raw(text), dictionary)) == first
    assert everything(parse(raw(text))) == first


@given(st.lists(st.sampled_from(sorted(CASES)), max_size=8), st.text("|=0123456789AX", max_size=12), st.integers(0, 80))
def test_other_shapes_in_between_change_nothing(before: list[str], junk: str, at: int) -> None:
    """Whatever was read before, a message with junk in it says what it says alone."""
    dictionary = typed_dictionary("FIX.4.4")
    for name in before:
        parse(raw(CASES[name]), dictionary)
    whole = CASES["two entries"]
    broken = raw(f"{whole[:5]}{whole[5 : 5 + at]}{junk}{whole[5 + at :]}")
    alone = everything(parse(broken))
    assert everything(parse(broken, dictionary)) == alone
    assert everything(parse(broken, dictionary)) == alone


def test_what_is_kept_is_bounded() -> None:
    assert not has_room(dict.fromkeys((str(n),) for n in range(5_000)), ("X",))
    assert not has_room({}, ("1",) * 1_000)
