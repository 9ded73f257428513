"""The study on routing: the same day for every ranking, all of an order charged, a README that says what came out."""

from pathlib import Path

import msgspec
import pytest

from domain.fields import Side, VenueKind
from domain.instruments import VenueTerms
from router.statistics import VenueStatistics
from simulators.book import Book, Reference, Resting
from simulators.market import Market
from simulators.orders import Publisher
from study.routing import BEGIN, END, JSON_FILE, PAGE_FILE, days, prior, with_table
from study.routing_day import (
    PARENTS,
    RANKINGS,
    REGIMES,
    Day,
    DayResult,
    ParentCost,
    Played,
    cost,
    crossed,
    market,
    plan,
    play,
)
from study.routing_figures import ALL, Study, study_of
from study.routing_page import html, markdown

ROOT = Path(__file__).parents[2]
DAY = Day("calm", 0, 11)


@pytest.fixture(scope="module")
def played() -> dict[str, Played]:
    found = {}
    for ranking in ("learned", "static"):
        simulation, books = play(DAY, ranking, prior(), VenueStatistics())
        found[ranking] = cost(ranking, simulation.facts, books)
    return found


@pytest.mark.parametrize("regime", REGIMES)
def test_each_regime_is_a_market(regime: str) -> None:
    config = market(regime, 3)
    Market(config, 3, 0).advance(5_000_000_000)
    assert len({market(regime, seed).symbols[0].symbol for seed in range(40)}) == 5


def test_every_ranking_has_the_same_orders_and_all_of_each_is_charged(played: dict[str, Played]) -> None:
    learned, static = (played[ranking].parents for ranking in ("learned", "static"))
    assert len(learned) == PARENTS
    told = [(p.strategy, p.side, p.order_qty, p.notional) for p in learned]
    # The arrival mid may differ: an earlier order of the same day was worked otherwise.
    assert [row[:3] for row in told] == [(p.strategy, p.side, p.order_qty) for p in static]
    for parent in (*learned, *static):
        assert parent.filled_qty == parent.order_qty or parent.rest != 0.0
    assert sum(p.shortfall for p in learned) != sum(p.shortfall for p in static)


def test_the_parts_of_a_cost_add_up(played: dict[str, Played]) -> None:
    for one in played.values():
        paid = sum(part.spread + part.drift for part in one.parts.values())
        assert paid == pytest.approx(sum(parent.price for parent in one.parents))
        assert sum(part.fee for part in one.parts.values()) == pytest.approx(sum(p.fee for p in one.parents))
        assert sum(part.qty for part in one.parts.values()) == sum(p.filled_qty for p in one.parents)


def test_the_orders_of_a_day_follow_from_its_seed() -> None:
    config = market("calm", 11)
    assert plan(DAY, config, "A") == plan(DAY, config, "A")
    assert plan(DAY, config, "A") != plan(Day("calm", 0, 12), config, "A")
    assert {day.seed for day in days(40, 1)} == set(range(1, 41))


@pytest.mark.parametrize(
    ("side", "qty", "paid"),
    [
        (Side.BUY, 100, 100 * 10_100.0),  # TWO at 10110 and -10; ONE at 10100 and 30 is dearer
        (Side.BUY, 300, 200 * 10_100.0 + 100 * 10_130.0),
        (Side.BUY, 500, 200 * 10_100.0 + 300 * 10_130.0),  # 100 more than is shown, at the worst price
        (Side.SELL, 150, 150 * 9_970.0),
        (Side.SELL, 0, 0.0),
    ],
)
def test_the_rest_crosses_the_books_from_the_best_price_on(side: Side, qty: int, paid: float) -> None:
    reference = Reference()
    for name, ask_px in (("ONE", 10_100), ("TWO", 10_110)):
        book = Book("ALFA", Publisher(name, [], 0))
        book.add(book.asks, ask_px, Resting(200), 0)
        book.add(book.bids, 10_000 if name == "ONE" else 9_000, Resting(200), 0)
        reference.books.append(book)
    terms = {
        "ONE": VenueTerms("ONE", VenueKind.LIT, "XONE", taker_fee_px=30.0),
        "TWO": VenueTerms("TWO", VenueKind.LIT, "XTWO", taker_fee_px=-10.0),
    }
    assert crossed(reference, side, qty, terms) == pytest.approx(paid)


def day_of(seed: int, costs: tuple[float, ...], notional: float = 1e8) -> DayResult:
    played = [
        Played(
            ranking=ranking,
            parents=[
                ParentCost(
                    strategy="twap", side=1, order_qty=100, filled_qty=100, notional=notional,
                    price=bps * notional / 1e4, fee=0.0, rest=0.0,
                )
            ],
            parts={},
            decisions=1,
        )
        for ranking, bps in zip(RANKINGS, costs, strict=True)
    ]  # fmt: skip
    return DayResult(day=Day(list(REGIMES)[seed % 4], seed, seed), symbol="ALFA", played=played)


def test_figures_of_days_whose_costs_are_known() -> None:
    found = study_of([day_of(seed, (1.0 + seed % 3, 2.0, 2.0 + seed % 3, 4.0)) for seed in range(60)], "m", "c", {})
    whole = found.regimes[ALL]
    assert whole.cost_bps["learned"].value == pytest.approx(2.0)
    saved = whole.against["static"].saved_bps
    assert (saved.value, saved.low, saved.high) == (1.0, 1.0, 1.0)  # the same every day, whatever the day costs
    reduction = whole.against["static"].reduction
    assert reduction.value == pytest.approx(1 / 3, abs=1e-3)
    assert reduction.low < 1 / 3 < reduction.high
    assert [found.regimes[regime].days for regime in REGIMES] == [15] * 4
    weighed = study_of([day_of(1, (1.0,) * 4), day_of(2, (4.0,) * 4, 2e8)], "m", "c", {})
    assert weighed.regimes[ALL].cost_bps["learned"].value == pytest.approx(3.0)  # by notional


def test_the_readme_and_the_page_say_what_the_study_found() -> None:
    found = msgspec.json.decode((ROOT / JSON_FILE).read_bytes(), type=Study)
    text = (ROOT / "README.md").read_text("utf-8")
    assert with_table(text, found) == text
    assert (ROOT / PAGE_FILE).read_text("utf-8") == html(found)
    assert text.count(BEGIN) == text.count(END) == 1
    assert markdown(found).count("\n") == 2 + 1 + len(REGIMES)
    assert len(found.daily) == found.days
