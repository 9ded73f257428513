"""What a client's trades cost a dealer, and how much wider the dealer therefore quotes.

After each trade the dealer looks where the midpoint is some seconds later: a move to the client's side is what the
client knew and the dealer did not. The mean of these markouts by quantity, which fades, is the client's toxicity, and
dealers price clients by it, in tiers (Barzykin, Bergault and Gueant, 2021, arXiv 2112.02269). A trade that cost nothing
counts too, so that mixed flow is priced as mixed, and a first trade says little: all is measured against one full quote
that cost nothing.
"""

from math import exp

from simulators.market_config import DealerConfig

_LN2 = 0.693147


class Clients:
    """All clients of one dealer, over all symbols."""

    def __init__(self, config: DealerConfig) -> None:
        self._config = config
        self._flows: dict[str, _Flow] = {}  # by owner

    def adopt(self, config: DealerConfig) -> None:
        self._config = config

    def learn(self, owner: str, lots: float, markout_bps: float, at_ns: int) -> None:
        """A trade of `lots` was followed by a move of the midpoint to the client's side, of so many bps."""
        flow = self._flows.setdefault(owner, _Flow())
        flow.fade(at_ns, self._config.toxicity_half_life_ns)
        flow.lots += lots
        flow.cost += lots * markout_bps

    def toxicity_bps(self, owner: str, at_ns: int) -> float:
        """What a share of the client's trades costs beyond the midpoint, in the mean; 0 for harmless flow."""
        flow = self._flows.get(owner)
        if flow is None:
            return 0.0
        flow.fade(at_ns, self._config.toxicity_half_life_ns)
        return max(flow.cost / (flow.lots + self._config.max_lots), 0.0)

    def widening(self, at_ns: int, owner: str = "") -> float:
        """Factor on the half spread for a client; with "" for the stream, which is priced for the worst of all."""
        owners = [owner] if owner else list(self._flows)
        worst_bps = max((self.toxicity_bps(name, at_ns) for name in owners), default=0.0)
        return 1.0 + min(self._config.toxic_widening * worst_bps, self._config.widest - 1.0)


class _Flow:
    """Lots traded and what they cost, in lots times bps; both fade."""

    __slots__ = ("at_ns", "cost", "lots")

    def __init__(self) -> None:
        self.lots = 0.0
        self.cost = 0.0
        self.at_ns = 0

    def fade(self, at_ns: int, half_life_ns: int) -> None:
        keep = exp(-_LN2 * max(at_ns - self.at_ns, 0) / half_life_ns)
        self.lots *= keep
        self.cost *= keep
        self.at_ns = at_ns
