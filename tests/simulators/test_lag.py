"""A market that falls behind its clock says so, now and then, and says when it has caught up."""

from simulators.lag import Lag

MS, S = 1_000_000, 1_000_000_000


def test_a_market_on_time_says_nothing():
    lag = Lag()
    assert [lag.observe(late_ns, number * S) for number, late_ns in enumerate([0, 5 * MS, 99 * MS] * 10)] == [None] * 30


def test_it_says_the_worst_of_some_seconds_and_once_that_it_is_over():
    lag = Lag()
    late_ms = {10: 150, 11: 900, 12: 300, 17: 101}
    said = {
        second: found
        for second in range(1, 40)
        if (found := lag.observe(late_ms.get(second, 1) * MS, second * S)) is not None
    }
    assert said == {10: 150 * MS, 15: 900 * MS, 20: 101 * MS, 25: 0}


def test_percentiles_are_over_everything():
    lag = Lag()
    for number in range(1_000):
        lag.observe(300 * MS if number % 50 == 0 else number % 10 * MS // 10, number * MS)
    p50_ms, p99_ms, worst_ms = lag.lateness()
    assert 0.4 <= p50_ms <= 0.6
    assert 275 <= p99_ms <= 300 == worst_ms
    assert Lag().lateness() == (0.0, 0.0, 0.0)
