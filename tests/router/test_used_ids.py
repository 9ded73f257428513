"""An id that left the memory is known for its day and the next one, however many there are."""

import pytest

from router.used_ids import DAY_NS, UsedIds


@pytest.mark.parametrize("count", [1, 16_383, 16_384, 100_000])
def test_every_id_is_found_and_no_other(count: int):
    ids = UsedIds()
    for number in range(count):
        ids.add("EMS1", f"O{number}")
    assert all(ids.has("EMS1", f"O{number}") for number in range(0, count, 97))
    assert not any(ids.has("EMS2", f"O{number}") for number in range(0, count, 97))
    assert not ids.has("EMS1", f"O{count}")
    assert sum(map(len, ids._runs)) + 8 * len(ids._recent) == 8 * count
    assert len(ids._runs) < 10


def test_ids_are_forgotten_after_a_whole_day():
    ids = UsedIds()
    ids.turn(5 * DAY_NS)
    ids.add("EMS1", "MON")
    ids.turn(6 * DAY_NS)
    ids.add("EMS1", "TUE")
    assert ids.has("EMS1", "MON") and ids.has("EMS1", "TUE")
    ids.turn(6 * DAY_NS + 1)
    ids.turn(7 * DAY_NS)
    assert not ids.has("EMS1", "MON") and ids.has("EMS1", "TUE")
    ids.turn(9 * DAY_NS)  # a day without orders between
    assert not ids.has("EMS1", "TUE")
