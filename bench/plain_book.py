"""A limit order book as one writes it in an afternoon: prices in a dict, orders in deques, the best by looking.

It only keeps the book: it is told every order, where the simulated market also has to think of it. It publishes what
the market publishes, as plain tuples.
"""

from collections import deque

BUY, SELL = 1, -1


class PlainBook:
    def __init__(self) -> None:
        self.sides: dict[int, dict[int, deque[list[int]]]] = {BUY: {}, SELL: {}}
        self.places: dict[int, tuple[int, int, list[int]]] = {}
        self.best = {BUY: 0, SELL: 0}

    def add(self, order_id: int, side: int, px: int, qty: int, out: list[tuple[object, ...]]) -> None:
        order = [order_id, qty]
        self.sides[side].setdefault(px, deque()).append(order)
        self.places[order_id] = (side, px, order)
        self._changed(side, px, out)

    def reduce(self, order_id: int, qty: int, traded: bool, out: list[tuple[object, ...]]) -> None:
        side, px, order = self.places[order_id]
        order[1] -= qty
        if not order[1]:
            del self.places[order_id]
            level = self.sides[side][px]
            level.remove(order)
            if not level:
                del self.sides[side][px]
        if traded:
            out.append(("trade", -side, px, qty))
        self._changed(side, px, out)

    def _changed(self, side: int, px: int, out: list[tuple[object, ...]]) -> None:
        levels = self.sides[side]
        self.best[side] = (max if side == BUY else min)(levels, default=0)
        out.append(("level", side, px, sum(qty for _, qty in levels.get(px, ()))))
