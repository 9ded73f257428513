"""What an operator has stopped. A set scope blocks new orders; cancels always pass, so they never ask here."""

from domain.fields import OrdRejReason
from risk.reject import Reject

SCOPE_KINDS = ("client", "account", "venue", "strategy", "symbol")


def valid_scope(scope: str) -> bool:
    """Whether `scope` is "firm" or "KIND:NAME" with one of SCOPE_KINDS."""
    kind, _, name = scope.partition(":")
    return scope == "firm" or (kind in SCOPE_KINDS and bool(name))


class KillSwitch:
    def __init__(self) -> None:
        self.scopes: dict[str, tuple[str, str]] = {}  # scope -> (set by, why)

    def apply_set(self, scope: str, by: str, text: str) -> None:
        self.scopes[scope] = (by, text)

    def apply_released(self, scope: str) -> None:
        self.scopes.pop(scope, None)

    def blocks(
        self, *, client: str = "", account: str = "", venue: str = "", strategy: str = "", symbol: str = ""
    ) -> Reject | None:
        """The reject of an order with these attributes, None where no set scope holds it; "" is no attribute."""
        if not self.scopes:
            return None
        for scope in (
            "firm",
            f"client:{client}",
            f"account:{account}",
            f"venue:{venue}",
            f"strategy:{strategy}",
            f"symbol:{symbol}",
        ):
            if scope in self.scopes:
                by, text = self.scopes[scope]
                return Reject("kill_switch", f"kill switch {scope} set by {by}: {text}", OrdRejReason.BROKER_OPTION)
        return None
