"""TLS for FIX connections: who shows which certificate, and who must.

TLS 1.2 is the least that is spoken. With `authorities` a listener asks each client for a certificate of theirs (mutual
TLS); a connector always checks its peer's.
"""

import ssl
from collections.abc import Mapping

import msgspec


class TlsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Paths of PEM files. A listener needs `certificate` and `key`, a connector only for mutual TLS.

    `authorities`: whose certificates are believed; "" for a connector: those of the system. `server_name`: what a
    connector expects of its peer and tells it (SNI); "" for the host it connects to.
    """

    certificate: str = ""
    key: str = ""
    authorities: str = ""
    server_name: str = ""


def server_context(config: TlsConfig, by_name: Mapping[str, TlsConfig] | None = None) -> ssl.SSLContext:
    """For a listener; `by_name`: other certificates for clients that ask for these server names (SNI).

    OSError or ssl.SSLError where a file can't be read or used.
    """
    contexts = {name.lower(): _server_context(named) for name, named in (by_name or {}).items()}
    context = _server_context(config)

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None and (named := contexts.get(name.lower())) is not None:
            connection.context = named

    if contexts:
        context.sni_callback = choose
    return context


def _server_context(config: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.certificate, config.key or None)
    if config.authorities:
        context.load_verify_locations(config.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(config: TlsConfig) -> ssl.SSLContext:
    """For a connector; OSError or ssl.SSLError where a file can't be read or used."""
    context = ssl.create_default_context(cafile=config.authorities or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.certificate:
        context.load_cert_chain(config.certificate, config.key or None)
    return context
