"""How near the router's allocation over dark venues comes to that of who knows them: `python -m study.dark`.

Made-up markets of five venues each, whose contra interest is empty for a share of the rounds and else a Pareto tail. In
each round 40 pieces are split by what `router.dark.DarkPools` has learned, and by an oracle that has the distributions;
both are filled by the same interest. After 500 rounds two venues change. Fills are compared over stretches of rounds,
and the markets are drawn again for the interval.
"""

import argparse
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from router.dark import MOST, DarkPools, split

PIECES = 40
VENUES = 5
ROUNDS = 500  # until two venues change
FOUND_AGAIN = 200  # and until the change should have been found
STRETCH = 200  # rounds over which fills are compared
SYMBOL = "ALFA"


class Pool(msgspec.Struct, frozen=True):
    """Pieces in a venue: none with probability `empty`, else at least s + 1 with (1 + s / scale) ** -tail."""

    empty: float
    tail: float
    scale: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Pool":
        return cls(rng.uniform(0.2, 0.95), rng.uniform(1.1, 2.0), rng.uniform(3.0, 30.0))

    def draw(self, rng: np.random.Generator) -> int:
        there = int(self.scale * rng.pareto(self.tail)) + 1
        return 0 if rng.random() < self.empty else there

    def tails(self) -> list[float]:
        sizes = np.arange(MOST)
        tails: list[float] = ((1.0 - self.empty) * (1.0 + sizes / self.scale) ** -self.tail).tolist()
        return tails


def allocated(tails: list[list[float]]) -> list[int]:
    """Pieces for each venue; what nobody is known to have is sent to the one with most, as in the router."""
    keys = range(len(tails))
    sent = split(dict(enumerate(tails)), PIECES, dict.fromkeys(keys, 1), dict.fromkeys(keys, PIECES))
    given = [sent[key] for key in keys]
    given[int(np.argmax(given))] += PIECES - sum(given)
    return given


def play(pools: list[Pool], rounds: int, known: DarkPools, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pieces filled in each round, [rounds, 2]: by what is `known`, which learns, and by the oracle."""
    names = [f"V{number}" for number in range(len(pools))]
    best = allocated([pool.tails() for pool in pools])
    filled = np.zeros((rounds, 2), dtype=np.int64)
    for number in range(rounds):
        there = [pool.draw(rng) for pool in pools]
        ours = allocated([known.tails(SYMBOL, name) for name in names])
        for name, sent, is_there in zip(names, ours, there, strict=True):
            known.apply(SYMBOL, name, sent, min(sent, is_there))
        filled[number] = [sum(map(min, sent, there)) for sent in (ours, best)]
    return filled


def market(seed: int) -> tuple[float, float, float]:
    """The part of the oracle's fill after ROUNDS, right after two venues changed, and from FOUND_AGAIN rounds on."""
    rng = np.random.default_rng(seed)
    known, pools = DarkPools(), [Pool.drawn(rng) for _ in range(VENUES)]
    play(pools, ROUNDS, known, rng)
    learned = play(pools, STRETCH, known, rng)
    changed = [Pool.drawn(rng) if number < 2 else pool for number, pool in enumerate(pools)]
    at_once = play(changed, FOUND_AGAIN, known, rng)
    again = play(changed, STRETCH, known, rng)
    first, second, third = (part[:, 0].sum() / part[:, 1].sum() for part in (learned, at_once, again))
    return float(first), float(second), float(third)


def study(seeds: int) -> dict[str, Any]:
    """For each stretch the mean part of the oracle's fill over `seeds` markets, its 95% interval, and the worst."""
    parts = np.array([market(seed) for seed in range(seeds)])
    again = np.random.default_rng(1).integers(seeds, size=(2_000, seeds))
    means = parts[again].mean(axis=1)
    names = (f"after_{ROUNDS}_rounds", "right_after_a_change", f"{FOUND_AGAIN}_rounds_after_a_change")
    return {
        "markets": seeds,
        "venues": VENUES,
        "pieces_a_round": PIECES,
        **{
            name: {
                "mean": float(parts[:, column].mean()),
                "interval": np.quantile(means[:, column], (0.025, 0.975)).tolist(),
                "worst": float(parts[:, column].min()),
            }
            for column, name in enumerate(names)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m study.dark", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="markets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    text = msgspec.json.format(msgspec.json.encode(study(args.seeds)), indent=1)
    print(text.decode())
    if args.json:
        args.json.write_bytes(text + b"\n")


if __name__ == "__main__":
    main()
