"""A small market that writes a tape: prices wander, queues come and go, and fills depend on both."""

from collections.abc import Iterator
from random import Random

from domain.fields import Side
from learning.tape_events import TouchEvent, TouchKind

S = 1_000_000_000
OPEN_NS = 34_200 * S
TICK_PX = 100


def day(seed: int, seconds: int, per_second: float = 1.0) -> Iterator[TouchEvent]:
    """Events of one order each at the touch; a side whose queue is used up moves a tick away, or comes back."""
    random = Random(seed)
    touch = {Side.BUY: [1_000_000, 300], Side.SELL: [1_000_200, 300]}
    at_ns, order_id = OPEN_NS, 0
    while True:
        at_ns += round(random.expovariate(per_second) * S)
        if at_ns > OPEN_NS + seconds * S:
            return
        order_id += 1
        side = random.choice([Side.BUY, Side.SELL])
        kind = random.choices(list(TouchKind), [5, 2, 3, 1, 0, 0, 0])[0]
        best, far = touch[side], touch[Side.SELL if side is Side.BUY else Side.BUY]
        px, qty = best[0], 100 * random.randint(1, 3)
        if kind is TouchKind.SUBMITTED:
            inside_px = px + side.sign * TICK_PX
            if random.random() < 0.3 and inside_px != far[0]:
                px = best[0] = inside_px
                best[1] = qty
            else:
                best[1] = min(best[1] + qty, 2_000)
        elif kind is not TouchKind.EXECUTED_HIDDEN:
            qty = min(qty, best[1])
            best[1] -= qty
            if not best[1]:
                best[:] = [px - side.sign * TICK_PX, 100 * random.randint(1, 8)]
        yield TouchEvent(at_ns, kind, order_id, qty, px, side, *touch[Side.BUY], *touch[Side.SELL])
