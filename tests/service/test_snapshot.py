"""A snapshot is the whole state, whoever made it and whichever version; what can't be trusted is not used."""

import pickletools
import random
import subprocess
import sys
from pathlib import Path

import pytest

from router.state import State
from service import snapshot
from service.journal import Journal, JournalError
from service.node import Node
from service.recovery import recover
from service.snapshot import NodeImage, SnapshotRefused, load, state_hash, write
from tests.service.platform import Platform, picture
from tests.service.test_restart import busy


@pytest.fixture(scope="module")
def platform() -> Platform:
    return busy(3)


def restored(platform: Platform, image: NodeImage | None = None, batches: list | None = None) -> Node:
    recorded = list(platform.process.recorded()) if batches is None else batches
    return Node(platform.config, platform.model, "", platform.now_ns, recorded=recorded, image=image)


def test_live_and_replayed_states_have_one_hash_and_every_change_another(platform: Platform):
    again = restored(platform)
    assert state_hash(again.state) == state_hash(platform.node.state)
    for change in (
        lambda state: state.kill_switch.apply_set("firm", "ops", ""),
        lambda state: state.executions.clear(),
        lambda state: setattr(next(iter(state.children.values())), "uncertain", 7),
        lambda state: setattr(state, "brand_new", 1),
    ):
        before = state_hash(again.state)
        change(again.state)
        assert state_hash(again.state) != before


def test_the_hash_does_not_depend_on_the_process(platform: Platform, tmp_path: Path):
    """Sets of strings come in another order in each process, so none may be hashed as it comes."""
    journal = Journal.open(tmp_path / "journal")
    for batch in platform.process.recorded():
        journal.append(batch)
    journal.close()
    program = (
        "import sys; from router.state import State; from service.journal import read;"
        "from service.snapshot import state_hash; state = State();"
        "[state.apply(fact) for batch in read(__import__('pathlib').Path(sys.argv[1])) for fact in batch];"
        "print(state_hash(state))"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "journal")],
            env={"PYTHONHASHSEED": str(random.Random(seed).randrange(1000)), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in range(3)
    }
    assert hashes == {state_hash(platform.node.state)}


def test_a_node_from_a_snapshot_is_the_node_that_wrote_it(platform: Platform, tmp_path: Path):
    file = tmp_path / "00000002.snapshot"
    assert write(file, platform.node.image()) == state_hash(platform.node.state) == snapshot.hash_of(file)
    node = restored(platform, load(file), [])
    assert picture(node.state) == picture(platform.node.state)
    assert node.links.messages() == platform.node.links.messages()
    assert node.links.messages()["FAIRLEAD->EMS1"]
    for name, peer in platform.node.links.venues.items():
        assert node.links.venues[name].store.next_out == peer.store.next_out > 1
    # What is one object in the node is one in the snapshot, or a change of one would not be seen in the other.
    for parent_id, children in node.state.open_children.items():
        assert node.state.open_parents.get(parent_id) is node.state.parents[parent_id] or not children
        assert all(node.state.children[child_id] is child for child_id, child in children.items())


def test_what_a_snapshot_of_an_earlier_version_lacks_begins_as_new(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "1.snapshot"
    write(file, platform.node.image())
    fresh = State.__init__

    def later(self: State) -> None:
        fresh(self)
        self.since_then = {"new": 1}
        del self.idle_decisions

    monkeypatch.setattr(State, "__init__", later)
    state = load(file).state
    assert state.since_then == {"new": 1}
    assert not hasattr(state, "idle_decisions")
    assert picture(state.children) == picture(platform.node.state.children)


def test_a_class_that_gained_and_lost_attributes_is_translated(platform: Platform, tmp_path: Path):
    file = tmp_path / "1.snapshot"
    write(file, platform.node.image())
    program = """
import sys
from pathlib import Path
import domain.orders as orders
class ChildOrder(orders.ChildOrder.__base__):
    __slots__ = tuple(sorted({"gained", *orders.ChildOrder.__slots__} - {"venue_order_id"}))
    def __init__(self, submitted):
        self.submitted, self.gained = submitted, "as new"
ChildOrder.__module__ = "domain.orders"
orders.ChildOrder = ChildOrder
from service.snapshot import load
children = load(Path(sys.argv[1])).state.children
assert children and all(child.gained == "as new" and child.submitted.child_id == key and child.cum_qty >= 0
                        for key, child in children.items())
"""
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, cwd=Path(__file__).parents[2])


def test_no_byte_of_a_snapshot_can_change_unnoticed(platform: Platform, tmp_path: Path):
    file = tmp_path / "1.snapshot"
    write(file, platform.node.image())
    data = file.read_bytes()
    draw = random.Random(1)
    for at in [*range(24), *(draw.randrange(len(data)) for _ in range(30))]:
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with pytest.raises(SnapshotRefused, match=str(file)):
            load(file)
    file.write_bytes(data[:-1])
    with pytest.raises(SnapshotRefused):
        load(file)


def test_nothing_but_trading_objects_is_made_from_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module, name in (("os", "system"), ("builtins", "eval"), ("service.runtime", "run")):
        with pytest.raises(Exception, match="has no place in a snapshot"):
            snapshot._allowed(module, name)


def test_every_name_in_a_snapshot_is_allowed(platform: Platform, tmp_path: Path):
    file = tmp_path / "1.snapshot"
    write(file, platform.node.image())
    ops = {op.name for op, _, _ in pickletools.genops(snapshot._read(file)[2])}
    assert "GLOBAL" not in ops  # names come from the stack, through find_class


# --- where a start begins ---


@pytest.fixture
def journal(platform: Platform, tmp_path: Path) -> Path:
    """Three segments with a snapshot before the second and before the third."""
    path = tmp_path / "journal"
    written = Journal.open(path)
    state = State()
    batches = list(platform.process.recorded())
    third = len(batches) // 3
    for number, batch in enumerate(batches):
        if number in (third, 2 * third):
            written.roll(number)
            node = restored(platform, batches=batches[:number])
            write(path / snapshot.snapshot_name(written.segment), node.image())
        written.append(batch)
        for fact in batch:
            state.apply(fact)
    written.close()
    return path


def recovered_hash(platform: Platform, journal: Path) -> tuple[str, int, int]:
    found = recover(journal)
    node = restored(platform, found.image, list(found.batches))
    return state_hash(node.state), found.first_segment, len(found.problems)


def test_a_start_uses_the_newest_snapshot_that_is_whole(platform: Platform, journal: Path):
    hashed = state_hash(platform.node.state)
    assert recovered_hash(platform, journal) == (hashed, 3, 0)
    (journal / "00000003.snapshot").write_bytes(b"FAIRSNAP and not much more")
    assert recovered_hash(platform, journal) == (hashed, 2, 1)
    (journal / "00000001.journal").unlink()
    assert recovered_hash(platform, journal) == (hashed, 2, 1)
    (journal / "00000002.snapshot").unlink()
    with pytest.raises(JournalError, match=r"no usable snapshot, and what was before 00000002\.journal is gone"):
        recover(journal)


def test_without_snapshots_the_facts_are_enough(platform: Platform, journal: Path):
    for file in journal.glob("*.snapshot"):
        file.unlink()
    assert recovered_hash(platform, journal) == (state_hash(platform.node.state), 1, 0)
