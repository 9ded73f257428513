"""Facts: what happened, in the order in which it happened. The journal is their sequence, the state their sum.

A fact is never changed or taken back. Everything that recovery, TCA, training and the console know comes from here, so
a fact carries all that a reader needs to understand it. `at_ns` is the time of the input that caused it, UTC.

Each module declares the facts of one concern and ends with their union; `AnyFact` is all of them. The journal holds a
fact under its class name.
"""

import msgspec

from domain.facts.children import *  # noqa: F403
from domain.facts.children import ChildFact
from domain.facts.decisions import *  # noqa: F403
from domain.facts.decisions import DecisionFact
from domain.facts.fact import Fact as Fact
from domain.facts.inputs import *  # noqa: F403
from domain.facts.inputs import InputFact
from domain.facts.journal import *  # noqa: F403
from domain.facts.journal import JournalFact
from domain.facts.parents import *  # noqa: F403
from domain.facts.parents import ParentFact
from domain.facts.sessions import *  # noqa: F403
from domain.facts.sessions import SessionFact
from domain.facts.world import *  # noqa: F403
from domain.facts.world import WorldFact

AnyFact = JournalFact | SessionFact | InputFact | ParentFact | DecisionFact | ChildFact | WorldFact

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AnyFact])


def encode_batch(facts: list[AnyFact]) -> bytes:
    """All that one input caused, as MessagePack: a list of tagged maps."""
    return _encoder.encode(facts)


def decode_batch(data: bytes) -> list[AnyFact]:
    """The facts of one batch; msgspec.ValidationError or msgspec.DecodeError if it is not one."""
    return _decoder.decode(data)
