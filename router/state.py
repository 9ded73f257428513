"""All that the router knows about orders, and the only place where it changes.

`State.apply` is the sum of facts: the same facts in the same order give the same state, live, in recovery and in
simulation. It decides nothing and refuses nothing: a fact has already happened. What is known is in three parts, each
with a table of the facts that change it: clients' orders (`router/parents.py`), our orders at venues
(`router/children.py`), and the world around them (`router/surroundings.py`).
"""

from typing import ClassVar

from domain.facts import AnyFact
from router.children import Children
from router.parents import Appliers
from router.surroundings import Surroundings


class State(Surroundings, Children):
    """Orders, exposure, kill switch, venue statistics and counters. Read freely; change only through `apply`."""

    APPLIERS: ClassVar[Appliers] = {**Surroundings.APPLIERS, **Children.APPLIERS}

    def apply(self, fact: AnyFact) -> None:
        applier = self.APPLIERS.get(type(fact))
        if applier is not None:  # the others (messages, alarms, measurements) are evidence and change nothing here
            applier(self, fact)
