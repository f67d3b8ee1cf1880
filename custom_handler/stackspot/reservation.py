"""Calls for which the proxy has chosen an account, and which have not joined its queue yet.

The choice for other requests, which is made meanwhile, counts them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from ..request.context import current_request

_current: ContextVar[Reservation | None] = ContextVar("stackspot_reservation", default=None)


@dataclass(eq=False, slots=True)
class Reservation:
    """That of one call, among the reservations of the same queue."""

    open: set[Reservation]

    def abandon(self) -> None:
        """End the reservation; a second call has no effect."""
        self.open.discard(self)


def reserve(reservations: set[Reservation]) -> None:
    """Add a reservation for the current task's call; it ends with the HTTP request at the latest.

    Does nothing outside of a request.
    """
    if (request := current_request()) is not None:
        reservation = Reservation(reservations)
        reservations.add(reservation)
        request.unfinished.add(reservation)
        _current.set(reservation)


def end_reservation() -> None:
    """End the reservation of the current task's call: it has joined the queue, or will not."""
    if (reservation := _current.get()) is None:
        return
    _current.set(None)
    reservation.abandon()
    if (request := current_request()) is not None:
        request.unfinished.discard(reservation)


@contextlib.contextmanager
def ending_reservation() -> Iterator[None]:
    """End the reservation of a call that has ended, or is being answered, perhaps from a cache."""
    try:
        yield
    finally:
        end_reservation()
