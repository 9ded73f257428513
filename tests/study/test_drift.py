"""The study of venues that turn, on a day that is short: through the whole node, in virtual time."""

from pathlib import Path

from study.drift import turned


def test_a_venue_that_starts_refusing_is_noticed_and_its_rank_falls(tmp_path: Path):
    found = turned("CLIP refuses", 7, 160, tmp_path)  # without a model: not one that a demo has left behind
    assert found.orders is not None
    assert found.orders < 500
    assert found.rank_after > found.rank_uncorrected + 0.2
    assert found.share_after < found.share_before
    assert found.false_alarms == 0
