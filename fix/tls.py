"""TLS for FIX connections: who shows which certificate, and who must.

TLS 1.2 is the least that is spoken. With `authorities` a listener asks each client for a certificate of theirs (mutual
TLS); a connector always checks its peer's. All paths are those of PEM files.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key`: "" where the certificate's file has it too."""

    certificate: str
    key: str = ""


class ListenerTls(Certificate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`authorities`: whose clients are let in; "": clients need no certificate.

    `names`: other certificates, for clients that ask for these server names (SNI).
    """

    authorities: str = ""
    names: dict[str, Certificate] = {}


class ConnectorTls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`certificate` and `key` are for mutual TLS only.

    `authorities`: whose servers are believed; "": those of the system. `server_name`: what is expected of the peer's
    certificate, and told it (SNI); "": the host that is connected to.
    """

    certificate: str = ""
    key: str = ""
    authorities: str = ""
    server_name: str = ""


class ListenerContext:
    """`context` is what a listener is given; its certificates can change while it listens.

    OSError, which names the file, where one can't be read or used; then all stays as it was.
    """

    def __init__(self, config: ListenerTls) -> None:
        self.replace(config)
        self.context = self._default
        self.context.sni_callback = self._choose

    def replace(self, config: ListenerTls) -> None:
        """For connections from now on. Whether clients need a certificate at all stays as it was."""
        default = _with(config, config.authorities)
        self._names = {name.lower(): _with(named, config.authorities) for name, named in config.names.items()}
        self._default = default

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        # OpenSSL takes certificate and authorities of the context that is set here; whether the client is asked for a
        # certificate at all stays with the context that the listener was given.
        connection.context = self._names.get((name or "").lower(), self._default)


def _with(config: Certificate, authorities: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, config.certificate, config.key)
    if authorities:
        with _naming(authorities):
            context.load_verify_locations(authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def connector_context(config: ConnectorTls) -> ssl.SSLContext:
    """OSError, which names the file, where one can't be read or used."""
    with _naming(config.authorities):
        context = ssl.create_default_context(cafile=config.authorities or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.certificate:
        _load(context, config.certificate, config.key)
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    with _naming(f"{certificate}, {key}" if key else certificate):
        context.load_cert_chain(certificate, key or None)


@contextmanager
def _naming(paths: str) -> Iterator[None]:
    """The errors of `ssl` don't say which file they are about."""
    try:
        yield
    except OSError as error:
        raise OSError(f"TLS: {paths}: {error}") from error
