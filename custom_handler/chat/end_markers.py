"""Which agents end their replies with a stop reason, as far as this process has seen."""

from __future__ import annotations

MAX_AGENTS = 1_000


class EndMarkers:
    """Remembers agents whose replies had an end, so that a reply without one was cut off.

    A last frame may be missing without a reason (contract, section 4): an agent that never sends
    one must not have its answers continued.

    >>> ends = EndMarkers()
    >>> ends.note("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    >>> ends.sends("01ARZ3NDEKTSV4RRFFQ69G5FAV"), ends.sends("01ARZ3NDEKTSV4RRFFQ69G5FAW")
    (True, False)
    """

    def __init__(self) -> None:
        self._agents: dict[str, None] = {}

    def note(self, agent_id: str) -> None:
        """Note that a reply of the agent had an end."""
        self._agents[agent_id] = None
        if len(self._agents) > MAX_AGENTS:
            del self._agents[next(iter(self._agents))]

    def sends(self, agent_id: str) -> bool:
        """Return whether a reply of the agent had an end before."""
        return agent_id in self._agents
