import msgspec
import pytest

from router.policy import ExecutionPolicy


@pytest.mark.parametrize(("urgency", "rest_ms"), [(0.0, 5_000), (0.5, 3_000), (1.0, 1_000)])
def test_the_more_urgent_the_shorter_it_rests(urgency, rest_ms):
    assert ExecutionPolicy(min_rest_ms=1_000, max_rest_ms=5_000).rest_ns(urgency) == rest_ms * 1_000_000


MISTAKES = [
    ({"max_dark_share": 1.5}, "Expected `float` <= 1.0 - at `$.max_dark_share`"),
    ({"min_child_qty": 0}, "Expected `int` >= 1 - at `$.min_child_qty`"),
    ({"actions": ["cross"]}, "Invalid enum value 'cross' - at `$.actions[0]`"),
    ({"max_share": 1}, "Object contains unknown field `max_share`"),
    ({"min_rest_ms": 9_000}, "min_rest_ms 9000 exceeds max_rest_ms 5000"),
    ({"max_child_qty": 50}, "min_child_qty 100 exceeds max_child_qty 50"),
]


@pytest.mark.parametrize(("data", "text"), MISTAKES)
def test_a_mistake_in_the_config_is_named(data, text):
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(data, ExecutionPolicy)
    assert str(error.value).startswith(text)
