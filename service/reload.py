"""Another config for a running daemon, as far as sessions go: who may log on, from where, when, and how they talk.

What decisions depend on (limits, policy, instruments, what a venue is) stays as the daemon was started with: a change
of it is refused by name, and then nothing at all is changed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from fix import tcp
from fix.tls import ListenerContext, connector_context
from service.config import ServiceConfig, load
from service.links import EMS_PORT, Links, market_data_port
from service.sessions import SessionRefused
from service.toml import ConfigErrors
from venues.config import VenueConfig

_VENUE = ("session", "host", "port", "fallbacks", "username", "password_file", "tls")
NOT_CLIENT = ("on_disconnect", "disconnect_grace_s")  # decisions depend on them
_LISTEN = ("allow", "tls")


Apply = Callable[[ServiceConfig, dict[str, str]], list[str]]


class Reload(msgspec.Struct, frozen=True):
    """An operator asks for it."""

    by: str


def passwords(config: ServiceConfig) -> dict[str, str]:
    """By venue, from the first line of its file; OSError, which names the file, where it can't be read."""
    found = {}
    for venue in config.venues:
        if venue.password_file:
            try:
                found[venue.name] = Path(venue.password_file).read_text("utf-8").partition("\n")[0]
            except (OSError, ValueError) as error:
                raise OSError(f"venue {venue.name}: password_file {venue.password_file}: {error}") from error
    return found


def refusals(old: ServiceConfig, new: ServiceConfig) -> list[str]:
    """The keys that differ and can't change while the daemon runs."""
    found = []
    for name in ServiceConfig.__struct_fields__:
        if name not in ("clients", "venues", "listen", "sessions"):
            found += _differences(name, getattr(old, name), getattr(new, name))
    found += [f"listen.{key}" for key in _other(old.listen, new.listen, _LISTEN)]
    if _asks(old) != _asks(new):
        found.append("listen.tls: whether there is TLS, and whether clients need a certificate for it")
    found += _clients(old, new)
    before, after = ({venue.name: venue for venue in config.venues} for config in (old, new))
    for venue in sorted(before.keys() | after.keys()):
        if venue not in before or venue not in after:
            found.append(f"venues.{venue}: {'added' if venue in after else 'removed'}")
        else:
            found += [f"venues.{venue}.{key}" for key in _other(before[venue], after[venue], _VENUE)]
    return found


def _clients(old: ServiceConfig, new: ServiceConfig) -> Iterator[str]:
    before = {client.name: client for client in old.clients}
    for client in new.clients:
        known = before.get(client.name)
        for key in NOT_CLIENT:
            if known is None and client.on_disconnect == "work":
                continue
            if known is None or getattr(known, key) != getattr(client, key):
                yield f"clients.{client.name}.{key}"


def _asks(config: ServiceConfig) -> tuple[bool, bool]:
    tls = config.listen.tls
    return tls is not None, tls is not None and bool(tls.authorities)


def _other(old: msgspec.Struct, new: msgspec.Struct, live: tuple[str, ...]) -> list[str]:
    """The keys that differ, but for those that may."""
    return [key for key in old.__struct_fields__ if key not in live and getattr(old, key) != getattr(new, key)]


def _differences(key: str, old: Any, new: Any) -> list[str]:
    if old == new:
        return []
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        return [f"{key}.{name}" for name in _other(old, new, ())]
    return [key]


def connect(server: tcp.Carrier, links: Links, venue: VenueConfig, port: str) -> None:
    """Keep one of a venue's two sessions connected, while it is its time; OSError where a file of its TLS is bad."""
    peer = links.of_port(port)
    server.connect(port, venue.addresses, venue.tls, lambda: peer.session.is_open(server.now_ns()))


def reload(
    path: Path, old: ServiceConfig, server: tcp.Carrier, links: Links, apply: Apply
) -> tuple[ServiceConfig, list[str]]:
    """The config of the file, once it holds, and what has changed; SessionRefused with all that is against it.

    `apply` gives a config and the passwords to the node.
    """
    try:
        new = load(path)
        secrets = passwords(new)
        for venue in new.venues:
            if venue.tls is not None:
                connector_context(venue.tls)
        if new.listen.tls is not None:
            ListenerContext(new.listen.tls)
    except (ConfigErrors, OSError) as error:
        raise SessionRefused(str(error)) from error
    if refused := refusals(old, new):
        raise SessionRefused("\n".join(f"{key} can't change while the daemon runs" for key in refused))
    server.relist(EMS_PORT, new.listen.tls, new.listen.allow)
    done = apply(new, secrets)
    done += [f"listen.{key} is changed" for key in _LISTEN if getattr(old.listen, key) != getattr(new.listen, key)]
    before = {venue.name: venue for venue in old.venues}
    for venue in new.venues:
        known = before[venue.name]
        if venue.enabled and (venue.addresses, venue.tls) != (known.addresses, known.tls):
            for port in (venue.name, market_data_port(venue.name)):
                if links.of_port(port).enabled:
                    connect(server, links, venue, port)
            done.append(f"venue {venue.name} is connected to {venue.host}:{venue.port} from now on")
    return new, done
