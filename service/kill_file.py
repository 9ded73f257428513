"""The kill switch that works when nothing else does: a file named KILL in the data directory.

A thread looks for it; the node asks before each child order, so an order is stopped also while the event loop has no
time for the control socket. Each line of the file is a scope ("firm", "venue:ARGO", ...) and a reason; an empty file, a
line that is no scope or a file that can't be read stop the whole firm. Taking the file away releases nothing: a release
is an operator's, with a name.
"""

import os
import pwd
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from risk.kill_switch import valid_scope

LOOK_S = 0.02
MAX_BYTES = 64 * 1024


class KillFile:
    """`scopes`: what is stopped -> (by whom, why). It is replaced as a whole, so any thread may read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scopes: Mapping[str, tuple[str, str]] = {}
        self._was_empty = False
        self._over = threading.Event()

    def start(self, changed: Callable[[], object]) -> None:
        """Looks from now on. `changed` is called in the thread that looks."""
        threading.Thread(target=self._run, args=(changed,), name="kill-file", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def look(self) -> bool:
        """Whether there is something else now."""
        before, self.scopes = self.scopes, self._read()
        return before != self.scopes

    def _run(self, changed: Callable[[], object]) -> None:
        while not self._over.wait(LOOK_S):
            try:
                if self.look():
                    changed()
            except Exception as error:  # whatever it is: a switch that fails has to fail to "off"
                self.scopes = {"firm": ("kill file", f"can't be looked at: {error!r}")}

    def _read(self) -> Mapping[str, tuple[str, str]]:
        try:
            with open(self.path, "rb") as opened:
                by = f"kill file of {_owner(os.fstat(opened.fileno()).st_uid)}"
                lines = opened.read(MAX_BYTES).decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            self._was_empty = False
            return {}
        except OSError as error:
            return {"firm": ("kill file", f"{self.path} can't be read: {error.strerror or error}")}
        lines = [line.strip() for line in lines if line.strip()]
        if not lines:
            # It may just be being written: what is empty twice in a row is meant so.
            was_empty, self._was_empty = self._was_empty, True
            return {"firm": (by, f"{self.path} is there")} if was_empty else self.scopes
        scopes = {}
        for line in lines:
            scope, _, text = line.partition(" ")
            if valid_scope(scope):
                scopes[scope] = (by, text.strip() or f"{self.path} says so")
            else:
                scopes["firm"] = (by, f"{line[:100]!r} in {self.path} is no scope")
        return scopes


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
