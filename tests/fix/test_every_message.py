"""Any message that a version has, as short or as long as it may be, decodes to itself and has no fault, however cut."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.dictionary import SUPPORTED, dictionary
from fix.framing import Framer
from fix.message import parse
from fix.validation import FULL, Validator
from tests.fix.fuzz.corpus import addressed, begin_string_of, body, framed, messages

TIME = "20240102-14:30:00"


def check(version: str, fields: list[tuple[str, str]], cuts: list[int]) -> None:
    known = dictionary(version)
    whole = framed(version, addressed(fields, 7, TIME, []))
    framer, frames = Framer(1 << 20), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(whole)], strict=True):
        framer.feed(whole[begin:end])
        while (raw := framer.next_frame()) is not None:
            frames.append(raw)
    assert frames == [whole]
    message = parse(whole, known)
    assert message.defect is None
    assert list(zip(message.tags, message.values, strict=True))[2:-1] == addressed(fields, 7, TIME, [])
    assert message.tags[:2] == ["8", "9"]
    assert message.begin_string == begin_string_of(version)
    fault = Validator(FULL, known).fault(message)
    assert fault is None, (fault, whole)


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_message_of_the_version(version: str) -> None:
    made = messages(version)
    assert len(made) == 2 * len(dictionary(version).messages)
    for fields in made:
        check(version, fields, [])


@given(st.data())
def test_any_message_cut_anywhere(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(SUPPORTED))
    msg_type = data.draw(st.sampled_from(sorted(dictionary(version).messages)))
    rng = random.Random(data.draw(st.integers(0, 1 << 32)))
    fields = body(dictionary(version), msg_type, rng, data.draw(st.floats(0, 1)))
    check(version, fields, data.draw(st.lists(st.integers(0, 300), max_size=4)))
