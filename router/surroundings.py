"""What is known of the world around the orders: venues, clients and their sessions, the kill switch.

A part of `router.state.State`. Each method says what one fact changes; nothing is decided or refused here.
"""

from typing import ClassVar

from domain.facts import (
    ClientDown,
    ClientUp,
    EpochStarted,
    KillSwitchReleased,
    KillSwitchSet,
    OrdersPaused,
    OrdersResumed,
    ParentAccepted,
    PasswordReplaced,
    ReturnPathKept,
    SessionAdvanced,
    SessionReset,
    SessionSwitched,
    TradingStatusChanged,
    VenueDown,
    VenueUp,
)
from domain.fields import TradingStatus
from risk.kill_switch import KillSwitch
from risk.reject import Reject
from router.parents import Appliers

MAX_RETURN_PATHS = 100_000  # orders of a session that came through a third party


class Surroundings:
    def __init__(self) -> None:
        super().__init__()
        self.epoch = ""
        self.paused = ""  # why no new orders are taken or sent, "" while they are
        self.kill_switch = KillSwitch()
        self.venues_up: set[str] = set()
        self.trading: dict[tuple[str, str], TradingStatus] = {}  # (venue, symbol), as it said; nothing said: open
        self.clients_up: dict[str, int] = {}  # client -> since when
        self.clients_away: dict[str, int] = {}  # the same; who never logged on is in neither
        self.sessions: dict[str, tuple[int, int, bool]] = {}  # MsgSeqNum(34) in and out that come next, may connect
        self.sessions_began_ns: dict[str, int] = {}  # when the numbers of one with a schedule began
        self.passwords: dict[str, dict[str, str]] = {}  # by session: a hash, and the one that holds in its place
        self.return_paths: dict[str, dict[str, str]] = {}  # by session and ClOrdID(11), the latest ones

    def trading_status(self, venue: str, symbol: str) -> TradingStatus:
        """Whether the venue trades the symbol; open where it never said otherwise, of this symbol or of all."""
        of_all = self.trading.get((venue, ""), TradingStatus.OPEN)
        return self.trading.get((venue, symbol), TradingStatus.OPEN) if of_all is TradingStatus.OPEN else of_all

    def blocks(self, order: ParentAccepted, venue: str = "") -> Reject | None:
        """Why the kill switch lets nothing of the order out, to the venue if one is named; None if it does."""
        return self.kill_switch.blocks(
            client=order.client, account=order.account, venue=venue, strategy=order.strategy, symbol=order.symbol
        )

    def _epoch_started(self, fact: EpochStarted) -> None:
        self.epoch = fact.epoch

    def _venue_up(self, fact: VenueUp) -> None:
        self.venues_up.add(fact.venue)
        for venue, symbol in [key for key in self.trading if key[0] == fact.venue]:
            del self.trading[venue, symbol]  # it says anew what it does not trade

    def _venue_down(self, fact: VenueDown) -> None:
        self.venues_up.discard(fact.venue)

    def _trading_status_changed(self, fact: TradingStatusChanged) -> None:
        self.trading[fact.venue, fact.symbol] = fact.status

    def _kill_switch_set(self, fact: KillSwitchSet) -> None:
        self.kill_switch.apply_set(fact.scope, fact.by, fact.text)

    def _kill_switch_released(self, fact: KillSwitchReleased) -> None:
        self.kill_switch.apply_released(fact.scope)

    def _client_up(self, fact: ClientUp) -> None:
        self.clients_away.pop(fact.client, None)
        self.clients_up[fact.client] = fact.at_ns

    def _client_down(self, fact: ClientDown) -> None:
        self.clients_up.pop(fact.client, None)
        self.clients_away.setdefault(fact.client, fact.at_ns)

    def _orders_paused(self, fact: OrdersPaused) -> None:
        self.paused = fact.text

    def _orders_resumed(self, fact: OrdersResumed) -> None:
        self.paused = ""

    def _password_replaced(self, fact: PasswordReplaced) -> None:
        self.passwords.setdefault(fact.session, {})[fact.replaced] = fact.hashed

    def _return_path_kept(self, fact: ReturnPathKept) -> None:
        paths = self.return_paths.setdefault(fact.session, {})
        paths[fact.cl_ord_id] = fact.path
        if len(paths) > MAX_RETURN_PATHS:
            del paths[next(iter(paths))]

    def _session_advanced(self, fact: SessionAdvanced) -> None:
        _, _, enabled = self.sessions.get(fact.session, (1, 1, True))
        self.sessions[fact.session] = (fact.next_in, fact.next_out, enabled)
        if fact.began_ns:
            self.sessions_began_ns[fact.session] = fact.began_ns

    def _session_reset(self, fact: SessionReset) -> None:
        _, _, enabled = self.sessions.get(fact.session, (1, 1, True))
        self.sessions[fact.session] = (1, 1, enabled)
        self.sessions_began_ns[fact.session] = fact.at_ns

    def _session_switched(self, fact: SessionSwitched) -> None:
        next_in, next_out, _ = self.sessions.get(fact.session, (1, 1, True))
        self.sessions[fact.session] = (next_in, next_out, fact.enabled)

    APPLIERS: ClassVar[Appliers] = {
        EpochStarted: _epoch_started,
        VenueUp: _venue_up,
        VenueDown: _venue_down,
        TradingStatusChanged: _trading_status_changed,
        KillSwitchSet: _kill_switch_set,
        KillSwitchReleased: _kill_switch_released,
        ClientUp: _client_up,
        ClientDown: _client_down,
        OrdersPaused: _orders_paused,
        OrdersResumed: _orders_resumed,
        PasswordReplaced: _password_replaced,
        ReturnPathKept: _return_path_kept,
        SessionAdvanced: _session_advanced,
        SessionReset: _session_reset,
        SessionSwitched: _session_switched,
    }
