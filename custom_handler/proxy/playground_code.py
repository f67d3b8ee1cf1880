"""The code that opens the playground once, on the machine of the proxy, without its key.

`run` issues the code in a file that only its owner can read, and names the file to the workers of
the proxy in the environment. The file has the hash of the code, so a copy of it opens nothing.
Whichever worker redeems the code removes the file: that works once, also if two try at a time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

VARIABLE = "STACKSPOT_PLAYGROUND_CODE"
"""The environment variable with the path of the file; `run` sets it for its proxy."""

LIFETIME = 300.0
"""Seconds for which a code is valid."""

MAX_ATTEMPTS = 5
"""How many attempts a code survives, in all workers together."""

_ATTEMPT = b"."


class PlaygroundCode:
    """The code of one start of a proxy; without a `file` there is none, and each one is wrong."""

    def __init__(self, file: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock

    @classmethod
    def of_this_process(cls) -> PlaygroundCode:
        """Return the code of the proxy whose worker this process is."""
        path = os.environ.get(VARIABLE)
        return cls(Path(path) if path else None)

    def environ(self) -> dict[str, str]:
        """Return what the environment of the proxy's workers needs."""
        return {} if self._file is None else {VARIABLE: str(self._file)}

    def issue(self) -> str:
        """Return a new code, which replaces the one before; "" if no file can be written."""
        if self._file is None:
            return ""
        code = secrets.token_urlsafe(24)
        try:
            self._file.unlink(missing_ok=True)
            with os.fdopen(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(f"{_digest(code)} {self._clock() + LIFETIME}\n".encode())
        except OSError:
            return ""  # the proxy works without
        return code

    def redeem(self, code: str) -> bool:
        """Return whether the code is the issued one: True once, and False after `LIFETIME`."""
        if self._file is None:
            return False
        try:
            valid, over = self._try(self._file, code)
            if valid or over:
                self._file.unlink()  # fails for all but one
        except (OSError, ValueError):
            return False
        return valid

    def _try(self, path: Path, code: str) -> tuple[bool, bool]:
        """Count an attempt; return whether the code is right, and whether no attempt is left."""
        # Each attempt is written before it is compared, so attempts at a time are counted, too.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND), "r+b", buffering=0) as file:
            file.write(_ATTEMPT)
            file.seek(0)
            issued, _, attempts = file.read(1000).partition(b"\n")
        digest, expires = issued.decode("ascii").split(" ")
        over = self._clock() >= float(expires) or len(attempts) > MAX_ATTEMPTS
        return not over and hmac.compare_digest(_digest(code), digest), over or len(attempts) == MAX_ATTEMPTS


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
