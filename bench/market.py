"""The simulated market in virtual time: all venues of the default config, nobody connected.

An event is an update that a venue publishes: a level that changed, a trade, a quote. An order that takes several levels
publishes several; a step of the hidden price publishes none.
"""

from statistics import median
from time import perf_counter

from simulators.market import Market
from simulators.market_config import default_market

AIM = 100_000.0
ROUNDS = 5
SECONDS = 120


def figures() -> list[dict[str, str | float]]:
    per_second = median(_events_per_second(seed) for seed in range(ROUNDS))
    return [
        {
            "name": "simulated_events_per_second",
            "value": round(per_second),
            "unit": "1/s",
            "vs": AIM,
            "ratio": round(per_second / AIM, 2),
        }
    ]


def _events_per_second(seed: int) -> float:
    market = Market(default_market(), seed, start_ns=0)
    events = 0
    began = perf_counter()
    for second in range(1, SECONDS + 1):
        events += len(market.advance(second * 1_000_000_000))
    return events / (perf_counter() - began)
