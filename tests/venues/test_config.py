"""A venue's config: what it says and which mistakes it names."""

import msgspec
import pytest

from domain.fields import VenueKind
from domain.instruments import VenueTerms
from venues.config import VenueConfig

VENUE = {"name": "LIT1", "kind": "lit", "mic": "XLIT", "host": "127.0.0.1", "port": 9901}


def test_a_venue_as_in_a_config_file() -> None:
    venue = msgspec.convert(VENUE | {"maker_fee": "-0.0020", "taker_fee": "0.00305", "symbols": ["AAPL"]}, VenueConfig)
    assert venue.terms() == VenueTerms(
        name="LIT1",
        kind=VenueKind.LIT,
        mic="XLIT",
        maker_fee_px=-20.0,
        taker_fee_px=30.5,
        min_qty=1,
        fill_prior=0.3,
        symbols=("AAPL",),
    )
    assert (venue.sender_comp_id, venue.target_comp_id, venue.md_target_comp_id) == ("FAIRLEAD", "LIT1", "LIT1MD")


def test_comp_ids_that_the_venue_demands() -> None:
    venue = msgspec.convert(VENUE | {"target_comp_id": "XL", "md_target_comp_id": "XLFEED"}, VenueConfig)
    assert (venue.target_comp_id, venue.md_target_comp_id) == ("XL", "XLFEED")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"maker_fee": "free"}, "maker_fee 'free' is not a decimal number such as \"0.0030\""),
        ({"taker_fee": "30"}, "taker_fee '30' is not between -1 and 1 currency unit a share"),
        ({"taker_fee": "NaN"}, "taker_fee 'NaN' is not between -1 and 1 currency unit a share"),
        ({"taker_fee": 0.003}, "Expected `str`, got `float` - at `$.taker_fee`"),
        ({"kind": "light"}, "Invalid enum value 'light' - at `$.kind`"),
        ({"port": 0}, "`$.port`"),
        ({"fill_prior": 1.5}, "`$.fill_prior`"),
        ({"begin_string": "FIX.4.3"}, "`$.begin_string`"),
        ({"status_requests": ["weather"]}, "`$.status_requests[0]`"),
        ({"status_codes": {"2": "asleep"}}, "`$.status_codes[...]`"),
        ({"mic": "NASDAQ"}, "`$.mic`"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_mistakes(change: dict, text: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(VENUE | change, VenueConfig)
    assert text in str(caught.value)
