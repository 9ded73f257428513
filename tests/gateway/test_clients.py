"""The config of a client: what it says and which mistakes it names."""

import msgspec
import pytest

from gateway.clients import ClientConfig

CLIENT = {"name": "EMS1", "accounts": ["ACC"]}


def test_a_client_as_in_a_config_file() -> None:
    client = msgspec.convert(
        CLIENT
        | {
            "begin_string": "FIX.4.2",
            "default_account": "ACC",
            "strategy_tag": 9100,
            "parameter_tags": {"duration_s": 9101},
            "ord_types": ["1", "2", "3"],
        },
        ClientConfig,
    )
    assert client.parameter_tags == {"duration_s": 9101}
    assert [item.name for item in client.ord_types] == ["MARKET", "LIMIT", "STOP"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"begin_string": "FIX.4.1"}, "begin_string 'FIX.4.1' is none of FIX.4.2, FIX.4.4"),
        ({"accounts": []}, "accounts of client 'EMS1' is empty"),
        ({"default_account": "B"}, "default_account 'B' is none of ACC"),
        ({"parameter_tags": {"slices": 847}}, "a tag is used twice: strategy_tag 847, parameter_tags [847]"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"ord_types": ["Z"]}, "Invalid enum value 'Z' - at `$.ord_types[0]`"),
        ({"max_sessions": 0}, "`$.max_sessions`"),
        ({"name": ""}, "`$.name`"),
    ],
)
def test_mistakes(change: dict, text: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(CLIENT | change, ClientConfig)
    assert text in str(caught.value)
