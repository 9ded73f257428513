"""TLS for FIX connections: who shows which certificate, and who must.

TLS 1.2 is the least that is spoken. With `authorities` a listener asks each client for a certificate of theirs (mutual
TLS); a connector always checks its peer's. All paths are those of PEM files.
"""

import ssl

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

    OSError or ssl.SSLError where a file can't be read or used; then all stays as it was.
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
    context.load_cert_chain(config.certificate, config.key or None)
    if authorities:
        context.load_verify_locations(authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def connector_context(config: ConnectorTls) -> ssl.SSLContext:
    """OSError or ssl.SSLError where a file can't be read or used."""
    context = ssl.create_default_context(cafile=config.authorities or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.certificate:
        context.load_cert_chain(config.certificate, config.key or None)
    return context
