"""What every fact is."""

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Never changed or taken back. `at_ns` is the time of the input that caused it, UTC."""

    at_ns: int
