from hypothesis import given
from hypothesis import strategies as st

from risk.rate import WINDOW_NS, MessageRate


def test_the_window_is_a_second_open_at_its_start():
    rate = MessageRate()
    rate.apply("LIT1", 0)
    rate.apply("LIT1", 5)
    assert [rate.count("LIT1", now_ns) for now_ns in (5, WINDOW_NS - 1, WINDOW_NS, WINDOW_NS + 5)] == [2, 2, 1, 0]
    assert rate.count("LIT2", 5) == 0


@given(st.lists(st.integers(0, WINDOW_NS // 2), max_size=40), st.integers(0, 2 * WINDOW_NS))
def test_the_count_is_exact_and_keeps_no_more_than_a_second(gaps_ns, later_ns):
    rate, now_ns, sent_ns = MessageRate(), 0, []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        rate.apply("LIT1", now_ns)
        sent_ns.append(now_ns)
        assert len(rate._sent_ns["LIT1"]) == sum(at_ns > now_ns - WINDOW_NS for at_ns in sent_ns)
    now_ns += later_ns
    assert rate.count("LIT1", now_ns) == sum(at_ns > now_ns - WINDOW_NS for at_ns in sent_ns)
