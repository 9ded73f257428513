"""Usernames and passwords of a Logon(A): kept as hashes that are costly to try out, compared in constant time."""

from base64 import b64decode, b64encode
from hashlib import scrypt
from hmac import compare_digest

import msgspec

# RFC 7914: N, r, p. 8 MB and about 20 ms, so that a flood of Logon(A)s can't stop the process that checks them.
_N, _R, _P = 8192, 8, 1
_SIZE = 32


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`hashed`: what `hash_password` made of the password."""

    username: str
    hashed: str

    def __post_init__(self) -> None:
        _parts(self.hashed)


def hash_password(password: str, salt: bytes) -> str:
    """ "scrypt$N$r$p$SALT$HASH". `salt`: at least 16 bytes, not used for any other password."""
    if len(salt) < 16:
        raise ValueError("a salt has at least 16 bytes")
    key = scrypt(password.encode("latin-1", "replace"), salt=salt, n=_N, r=_R, p=_P, dklen=_SIZE)
    return f"scrypt${_N}${_R}${_P}${b64encode(salt).decode()}${b64encode(key).decode()}"


def is_password(password: str, hashed: str) -> bool:
    n, r, p, salt, key = _parts(hashed)
    found = scrypt(password.encode("latin-1", "replace"), salt=salt, n=n, r=r, p=p, dklen=len(key))
    return compare_digest(found, key)


def find(credentials: tuple[Credential, ...], username: str, password: str) -> Credential | None:
    """Whose username and password these are. An unknown username takes as long as a wrong password."""
    known = next((credential for credential in credentials if credential.username == username), None)
    if is_password(password, (known or credentials[0]).hashed) and known is not None:
        return known
    return None


def _parts(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        kind, n, r, p, salt, key = hashed.split("$")
        parts = int(n), int(r), int(p), b64decode(salt, validate=True), b64decode(key, validate=True)
    except ValueError:
        kind, parts = "", (0, 0, 0, b"", b"")
    if kind != "scrypt" or not parts[3] or not parts[4]:
        raise ValueError("a hashed password looks like scrypt$N$r$p$SALT$HASH")
    return parts
