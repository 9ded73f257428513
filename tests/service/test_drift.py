"""`fairlead archive drift`, on archives of a made-up market: a day like the others, and one that is not."""

from dataclasses import replace

import numpy as np
import pytest

from router.features import FEATURES, schema_hash
from service import cli
from service.examples import daemon_config

pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")
pytest.importorskip("duckdb", reason="the extra 'archive' is not installed")

from service.drift import alarms
from tests.learning.archives import DAY, FIRST_DAY, days, write

SCHEMA = schema_hash([venue.name for venue in daemon_config().venues if venue.enabled])


def market(count=5):
    """What is said of each order is the mean of its kind, so that venues can be held against it."""
    rows = days(count, 1200, len(FEATURES), SCHEMA, FEATURES)
    predicted = np.zeros(len(rows))
    for venue in np.unique(rows.venue):
        for immediate in (True, False):
            of = (rows.venue == venue) & (rows.immediate == immediate) & rows.known
            predicted[(rows.venue == venue) & (rows.immediate == immediate)] = rows.filled[of].mean()
    return replace(rows, predicted=predicted)


def split(rows):
    last = rows.at_ns // DAY == FIRST_DAY + 4
    return rows.take(~last), rows.take(last)


def test_a_day_like_the_others_is_quiet_and_the_command_says_so(tmp_path, capsys):
    rows = market()
    assert [what for what, _ in alarms(*split(rows)) if what.startswith("venue")] == []
    write(tmp_path, rows)
    status = cli.main(["archive", "drift", "--archive", str(tmp_path)])
    said = capsys.readouterr().out
    assert (status, "like those of the 4 days before" in said) in ((0, True), (1, False))


@pytest.mark.parametrize("what", ["feature imbalance", "venue V2 fills", "venue V2 markouts"])
def test_what_has_changed_is_named(what):
    before, last = split(market())
    at_venue = last.venue == "V2"
    if what == "venue V2 fills":
        last = replace(last, filled=last.filled & ~(at_venue & (np.arange(len(last)) % 4 > 0)))
        last = replace(last, markout_bps=np.where(last.filled, last.markout_bps, np.nan))
    elif what == "venue V2 markouts":
        last = replace(last, markout_bps=last.markout_bps + 3.0 * at_venue)
    else:
        features = last.features.copy()
        features[:, 4] += 1.0
        last = replace(last, features=features)
    named = dict(alarms(before, last))
    if what.startswith("feature"):
        assert f"feature {FEATURES[4]}" in named
    else:
        assert ("fills less" if "fills" in what else "about to turn") in named["venue V2"]
        assert not [name for name in named if name.startswith("venue") and name != "venue V2"]


def test_too_few_days_are_said(tmp_path, capsys):
    write(tmp_path, days(2, 200, len(FEATURES), SCHEMA, FEATURES))
    assert cli.main(["archive", "drift", "--archive", str(tmp_path)]) == 2
    assert "2 days, expected more than 3" in capsys.readouterr().err
