"""A journal of each format that was ever released is read, gives the state that it gave then, and is written on.

`journals/format1.journal` was written by version 0.1.0: two orders, a crash between them, one file without segments.
`journals/format2` is a directory of two segments: two orders that are cancelled, and a crash.
"""

import shutil
from pathlib import Path

import pytest

from domain.fields import OrdStatus
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service.cli import main
from service.journal import Journal, survey
from service.node import Node
from service.recovery import recover
from service.replay import verify
from tests.service.platform import START_NS, small_config

JOURNALS = Path(__file__).parent / "journals"
# name -> (by parent: status, CumQty), children, executions, MsgSeqNum(34) of the client's next message
RELEASED = {
    "format1.journal": (
        {"1JN7W80-P1": (OrdStatus.FILLED, 4_600), "1JN7W80-P2": (OrdStatus.FILLED, 900)},
        9,
        24,
        30,
    ),
    "format2": (
        {"1JN7W80-P1": (OrdStatus.CANCELED, 213), "1JN7W80-P2": (OrdStatus.CANCELED, 643)},
        16,
        9,
        12,
    ),
}


def test_every_kept_journal_is_tried() -> None:
    assert {file.name for file in JOURNALS.iterdir()} == RELEASED.keys()


@pytest.mark.parametrize("name", RELEASED)
def test_it_gives_the_state_that_it_gave_then_and_is_written_on(name: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    kept = JOURNALS / name
    if kept.is_dir():
        shutil.copytree(kept, path)
    else:
        shutil.copy(kept, path)
    before = survey(path)
    (at_the_end,) = verify(path)
    config = small_config()
    model = PriorModel(FEATURES.index("fill_prior"), schema_hash([venue.name for venue in config.venues]))
    for _ in range(2):  # as it is, and when it has become the first segment
        node = Node(config, model, "", START_NS, recorded=recover(path).batches)
        parents, children, executions, next_out = RELEASED[name]
        found = {parent_id: (parent.status, parent.cum_qty) for parent_id, parent in node.state.parents.items()}
        assert found == parents
        assert (len(node.state.children), len(node.state.executions)) == (children, executions)
        assert node.links.clients["EMS1"].store.next_out == next_out
        assert not node.state.open_parents
        Journal.open(path).close()
    journal = Journal.open(path)
    output = node.start(START_NS)
    journal.append(output.facts)
    journal.roll(START_NS)
    journal.append(output.facts)
    journal.close()
    assert survey(path).batches == before.batches + 2
    assert main(["journal", "verify", "--journal", str(path)]) == 0
    assert len(at_the_end.state_hash) == 64
