"""The FIX sessions that a config asks for: how to talk is in its `sessions`, with whom in its clients and venues."""

import msgspec

from fix.config import SessionConfig, SessionOptions
from fix.credentials import Credential
from gateway.clients import ClientConfig
from service.config import ServiceConfig
from venues.config import VenueConfig


def client_session(config: ServiceConfig, client: ClientConfig) -> SessionConfig:
    """For a pattern of clients the CompID is the pattern."""
    return SessionConfig.of(
        _options(config, client.session),
        begin_string=client.begin_string,
        sender_comp_id=config.service.comp_id,
        target_comp_id=client.name,
        role="acceptor",
        credentials=client.credentials,
        keeps_to_max_message_size=False,
    )


def venue_sessions(config: ServiceConfig, venue: VenueConfig, password: str) -> tuple[SessionConfig, SessionConfig]:
    """For orders and for market data."""
    orders = SessionConfig.of(
        _options(config, venue.session),
        begin_string=venue.begin_string,
        sender_comp_id=venue.sender_comp_id,
        target_comp_id=venue.target_comp_id,
        role="initiator",
        username=venue.username,
        password=password,
        keeps_to_max_message_size=False,
        resend_app=False,  # an order is never sent twice: what became of it is asked after the reconnect
    )
    # Yesterday's book is worth nothing.
    return orders, msgspec.structs.replace(orders, target_comp_id=venue.md_target_comp_id, reset_on_logon=True)


def with_changes(credentials: tuple[Credential, ...], replaced: dict[str, str]) -> tuple[Credential, ...]:
    """The config's credentials as clients have changed them. What an operator changes in the config holds again."""
    return tuple(Credential(item.username, _latest(item.hashed, replaced)) for item in credentials)


def _latest(hashed: str, replaced: dict[str, str]) -> str:
    while (following := replaced.get(hashed)) is not None:
        hashed = following
    return hashed


def _options(config: ServiceConfig, name: str) -> SessionOptions:
    return config.sessions[name] if name else SessionOptions()
