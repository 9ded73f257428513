"""The virtual network: when things arrive, in which order, and what is lost with a connection."""

from dataclasses import dataclass, field

import pytest

from fix.endpoint import Output
from simulators.world import World

MS = 1_000_000


@dataclass
class Recorder:
    """Writes down what it is told; answers data with `answers[data]` and has timers at `alarms`."""

    answers: dict[bytes, list[bytes]] = field(default_factory=dict)
    alarms: list[int] = field(default_factory=list)
    log: list[tuple] = field(default_factory=list)
    hangs_up_on: bytes = b""
    link: int = -1

    def connected(self, link, port, now_ns):
        self.link = link
        self.log.append((now_ns, "connected", port))
        return Output()

    def receive(self, link, data, now_ns):
        self.log.append((now_ns, "received", data))
        return Output(
            [(link, answer) for answer in self.answers.get(data, [])], [link] if data == self.hangs_up_on else []
        )

    def disconnected(self, link, now_ns):
        self.log.append((now_ns, "disconnected", link == self.link))
        return Output()

    def timer(self, now_ns):
        self.log.append((now_ns, "timer", self.alarms.pop(0)))
        return Output([(self.link, b"ping")] if self.link >= 0 else [])

    def next_timer_ns(self):
        return self.alarms[0] if self.alarms else None


def pair(client: Recorder, server: Recorder, latency_ns: int = 5 * MS) -> tuple[World, int]:
    world = World(0)
    world.add("client", client)
    world.add("server", server)
    return world, world.connect("client", "out", "server", "in", latency_ns)


def test_bytes_take_the_latency_each_way_and_arrive_as_they_were_written():
    client = Recorder(alarms=[10 * MS])
    server = Recorder(answers={b"ping": [b"po", b"ng"]})
    world, link = pair(client, server)
    world.run_until(100 * MS)
    assert server.log == [(5 * MS, "connected", "in"), (15 * MS, "received", b"ping")]
    assert client.log[:2] == [(5 * MS, "connected", "out"), (10 * MS, "timer", 10 * MS)]
    assert client.log[2:] == [(20 * MS, "received", b"po"), (20 * MS, "received", b"ng")]
    assert (world.now_ns, world.is_open(link)) == (100 * MS, True)


def test_arrivals_come_before_timers_of_the_same_instant_and_a_late_timer_fires_at_once():
    client = Recorder(alarms=[10 * MS])
    server = Recorder(alarms=[15 * MS, 15 * MS, 3 * MS])
    world, _ = pair(client, server)
    world.run_until(20 * MS)
    assert [entry[:2] for entry in server.log[1:]] == [(15 * MS, "received")] + [(15 * MS, "timer")] * 3


def test_who_hangs_up_is_told_at_once_and_the_peer_after_the_last_bytes():
    client = Recorder(alarms=[10 * MS])
    server = Recorder(answers={b"ping": [b"bye"]}, hangs_up_on=b"ping")
    world, link = pair(client, server)
    world.run_until(100 * MS)
    assert server.log[-1] == (15 * MS, "disconnected", True)
    assert client.log[-2:] == [(20 * MS, "received", b"bye"), (20 * MS, "disconnected", True)]
    assert not world.is_open(link)


def test_a_cut_loses_what_is_under_way_and_a_new_connection_starts_clean():
    client, server = Recorder(alarms=[10 * MS]), Recorder()
    world, link = pair(client, server)
    world.run_until(12 * MS)
    world.cut(link)
    again = world.connect("client", "out", "server", "in")
    world.run_until(100 * MS)
    assert [entry[1] for entry in server.log] == ["connected", "disconnected", "connected"]
    assert [entry[1] for entry in client.log] == ["connected", "timer", "disconnected", "connected"]
    assert again != link and client.link == again


def test_it_runs_no_further_than_it_has_to():
    client = Recorder(alarms=[MS, 2 * MS, 3 * MS])
    world, _ = pair(client, Recorder())
    assert world.run_while(lambda: len(client.alarms) > 1, 100 * MS)
    assert world.now_ns == 2 * MS
    assert not world.run_while(lambda: True, 100 * MS)
    assert world.now_ns == 100 * MS


def test_an_endpoint_that_never_lets_time_pass_is_named():
    stuck = Recorder()
    stuck.next_timer_ns = lambda: 0
    stuck.timer = lambda now_ns: Output()
    world = World(0)
    world.add("stuck", stuck)
    with pytest.raises(RuntimeError, match="over and over"):
        world.run_until(1)


def test_a_clock_that_is_set_is_followed_and_one_set_back_goes_slower_until_it_is_true():
    client = Recorder(alarms=[1_000 * MS, 1_000 * MS, 2_000 * MS, 2_500 * MS])
    world, _ = pair(client, Recorder())
    world.run_until(100 * MS)
    world.set_clock("client", 950 * MS)  # the first two alarms are late at once
    world.run_until(100 * MS)
    assert world.time_of("client") == 1_050 * MS
    world.set_clock("client", -500 * MS)  # it shows 1050, should show 550, and goes on at half speed
    world.run_until(300 * MS)
    assert world.time_of("client") == 1_150 * MS
    world.run_until(4_000 * MS)
    assert world.time_of("client") == 4_450 * MS
    assert [entry[0] // MS for entry in client.log if entry[1] == "timer"] == [1_050, 1_050, 2_000, 2_500]


def test_what_is_silenced_hears_nothing_and_can_still_hang_up():
    client, server = Recorder(), Recorder()
    world, link = pair(client, server)
    world.run_until(10 * MS)
    world.silence(link)
    world.perform(Output([(link, b"lost")]))
    world.run_until(50 * MS)
    assert server.log == [(5 * MS, "connected", "in")]
    world.perform(Output([], [link]))
    world.run_until(100 * MS)
    assert client.log[-1] == (50 * MS, "disconnected", True)
    assert server.log == [(5 * MS, "connected", "in")]  # it will have to find out by itself


def test_one_end_alone_may_lose_a_connection_and_bytes_may_be_held_up():
    client, server = Recorder(), Recorder()
    world, link = pair(client, server)
    world.run_until(10 * MS)
    world.stall(link, 40 * MS)
    world.perform(Output([(link, b"a"), (link, b"b")]))
    world.run_until(50 * MS)
    assert server.log[1:] == [(40 * MS, "received", b"a"), (40 * MS, "received", b"b")]
    world.drop(link)
    world.run_until(60 * MS)
    assert client.log[-1] == (50 * MS, "disconnected", True)
    assert len(server.log) == 3


class InPieces:
    """A `Network` that delivers each byte 1 ms after the one before."""

    def pieces(self, link, data):
        return [(number * MS, data[number : number + 1]) for number in range(len(data))]


def test_a_network_may_cut_up_and_delay_what_is_written_and_never_reorders_it():
    client, server = Recorder(), Recorder()
    world = World(0, InPieces())
    world.add("client", client)
    world.add("server", server)
    link = world.connect("client", "out", "server", "in", 5 * MS)
    world.run_until(10 * MS)
    world.perform(Output([(link, b"abc"), (link, b"d")]))
    world.run_until(20 * MS)
    heard = [(at_ns // MS, data) for at_ns, _, data in server.log[1:]]
    assert heard == [(15, b"a"), (16, b"b"), (17, b"c"), (17, b"d")]
