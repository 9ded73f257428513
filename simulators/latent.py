"""What a symbol is worth, and what the tape makes everybody believe it is worth. Nobody sees either.

Two parts make the fair price. The value is news: a random walk whose volatility clusters and that jumps now and then.
The rest is impact: every market order, a client's like anybody's, shifts what providers think fair towards its side,
and the shift decays as the inverse square root of time (the propagator of Bouchaud, Gefen, Potters and Wyart, 2004).
So an order worked at a constant share of the volume moves the price with the square root of its size, and most of the
move is given back when it ends. Only the size and the side of what was printed count: who traded cannot matter.
"""

from math import exp, log, sqrt
from random import Random

from simulators.market_config import SymbolConfig

SESSION_SECONDS = 6.5 * 3600
_STEP_NS = 200_000_000.0
# Exponentials whose sum is close to an inverse square root from one second to an hour.
_DECAY_S = (4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0)
_DECAY_POWER = 0.38
_WEIGHTS = tuple(s**-_DECAY_POWER / sum(other_s**-_DECAY_POWER for other_s in _DECAY_S) for s in _DECAY_S)


class Shape:
    """A factor that changes through the session: linear between even points, the last one from its end on."""

    def __init__(self, points: tuple[float, ...], mean: float, start_ns: int, session_s: float) -> None:
        self._points = [point / mean for point in points] if len(points) > 1 else [1.0, 1.0]
        self._start_ns = start_ns
        self._step_ns = session_s * 1e9 / (len(self._points) - 1)

    def at(self, at_ns: int) -> float:
        place = max((at_ns - self._start_ns) / self._step_ns, 0.0)
        number = int(place)
        if number >= len(self._points) - 1:
            return self._points[-1]
        low, high = self._points[number], self._points[number + 1]
        return low + (high - low) * (place - number)


class Latent:
    """`fair_px` is what providers quote around; `pressure` is how much the order being worked has still to trade, from
    -1 (sell) to 1 (buy), which the informed know; `activity` is a factor on all rates, `busy` the part of it
    that is the shape of the day."""

    def __init__(
        self,
        config: SymbolConfig,
        takers_per_second: float,
        random: Random,
        start_ns: int,
        opens_ns: int | None = None,
        session_s: float = SESSION_SECONDS,
        trend: Random | None = None,
    ) -> None:
        self.value_px = config.start_px + (random.random() - 0.5) * config.tick_px
        self.fair_px = self.value_px
        self.pressure = 0.0
        self.activity = 1.0
        self.next_ns = start_ns
        self._random = random
        self._config = config
        # Jumps and the spread of the factor (lognormal) add to the variance; the config's volatility is what comes out.
        added = (1.0 + config.jump_share * (config.jump_factor**2 - 1.0)) * exp(2.0 * config.volatility_spread**2)
        volatility = config.daily_volatility / sqrt(SESSION_SECONDS)  # of a second
        self._deviation = volatility * sqrt((1.0 - config.flow_variance) / added)
        self._impact = config.impact * volatility / sqrt(takers_per_second)  # of a market order of the mean size
        self._mean_qty = config.mean_lots * config.lot_qty
        self._min_px = 10.0 * config.tick_px
        self._log_factor = random.gauss(0.0, config.volatility_spread)
        self._shifts = [0.0] * len(_DECAY_S)  # of the fair price by past market orders, relative
        self._last_ns = start_ns
        self._trend = trend  # a stream of its own: the same shocks with a trend and without
        self._drift = 0.0  # a second, relative
        self._turn_ns = start_ns
        opens_ns = start_ns if opens_ns is None else opens_ns
        busy, wild = config.day_activity, config.day_volatility
        self.busy = Shape(busy, _mean(busy, 1.0), opens_ns, session_s) if busy else None
        self._wild = Shape(wild, _mean(wild, 2.0), opens_ns, session_s) if wild else None

    def step(self, at_ns: int) -> None:
        random, config = self._random, self._config
        u_pause, u_jump = random.random(), random.random()
        shock, factor_shock = random.gauss(0.0, 1.0), random.gauss(0.0, 1.0)
        seconds = (at_ns - self._last_ns) / 1e9
        self._last_ns = at_ns
        keep = exp(-0.693147 * seconds / config.volatility_half_life_s)
        self._log_factor = self._log_factor * keep + config.volatility_spread * sqrt(1.0 - keep * keep) * factor_shock
        self.activity = exp(0.5 * self._log_factor)
        if self.busy is not None:
            self.activity *= self.busy.at(at_ns)
        jump = config.jump_factor if u_jump < config.jump_share else 1.0
        move = self._deviation * exp(self._log_factor) * shock * jump * sqrt(seconds)
        if self._wild is not None:
            move *= self._wild.at(at_ns)
        if self._trend is not None:
            move += self._drift * seconds
            if at_ns >= self._turn_ns:
                self._turn(self._trend, at_ns)
        self.value_px = max(self.value_px * (1.0 + move), self._min_px)
        self._shifts = [shift * exp(-seconds / decay) for shift, decay in zip(self._shifts, _DECAY_S, strict=True)]
        self._reprice()
        self.next_ns = at_ns + 1 + int(-log(1.0 - u_pause) * _STEP_NS)

    def _turn(self, trend: Random, at_ns: int) -> None:
        """A direction is drawn, and how long it lasts."""
        u_sign, u_span = trend.random(), trend.random()
        self._drift = (1.0 if u_sign < 0.5 else -1.0) * self._config.trend_bps / 1e4 / 60.0
        self._turn_ns = at_ns + int(-log(1.0 - u_span) * self._config.trend_s * 1e9)

    def taken(self, sign: int, qty: int, px: int) -> None:
        """A market order traded: 1 bought, -1 sold. Twice the size moves the price by less than twice.

        One that took a quote which the fair price had passed already tells nothing new (Glosten and Milgrom, 1985).
        """
        if (px - self.fair_px) * sign < 0:
            return
        self.shift(sign * self._impact * sqrt(qty / self._mean_qty))

    def shift(self, moved: float) -> None:
        """The fair price moves by this part of itself, and back as after a market order."""
        self._shifts = [shift + moved * weight for shift, weight in zip(self._shifts, _WEIGHTS, strict=True)]
        self._reprice()

    def _reprice(self) -> None:
        self.fair_px = self.value_px * (1.0 + sum(self._shifts))


def _mean(points: tuple[float, ...], power: float) -> float:
    """Of what runs straight from point to point, roughly: each point, the ends by half; of squares for a power of 2."""
    inner = points[1:-1]
    total = sum(point**power for point in inner) + (points[0] ** power + points[-1] ** power) / 2.0
    return float((total / (len(inner) + 1)) ** (1.0 / power))
