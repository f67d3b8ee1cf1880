"""A clock for what takes the time as a function."""

from __future__ import annotations


class Clock:
    """A clock that stands still until a test moves `now`, in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
