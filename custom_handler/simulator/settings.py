"""What a simulator accepts and how fast it speaks; every field can be changed while it runs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBER = (int, float)
LOSSES = ("new", "refused", "silent")


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """One account, its agents, its limits and the pace of the default agent; times are seconds."""

    realm: str = "simulator"
    client_id: str = "simulator"
    client_secret: str = "simulator-secret"
    token_lifetime: float = 1200
    # How far the identity host's clock is ahead: a client must not trust the absolute `exp`.
    clock_skew: float = 0
    # None: every well-formed ULID is a known agent.
    known_agents: tuple[str, ...] | None = None
    forbidden_agents: tuple[str, ...] = ()
    # Longest prompt, in tokens of four characters.
    token_limit: int = 272_000
    # The account's limit, shared by all its agents; the service's own default is 100, None switches it off.
    requests_per_minute: int | None = None
    # The platform's gateway drops a whole answer that takes longer than this, without any HTTP answer.
    gateway_timeout: float = 120
    first_token_delay: float = 0.25
    cadence: float = 0.03
    # How many frames go into one write.
    burst: int = 1
    seed: int = 0
    # What becomes of a question in a conversation that is lost: "refused" with a 404, answered in a "new" one, which the
    # answer names, or "silent": answered without what was said before, as if it were the first.
    lost_conversation: str = "new"

    def changed(self, values: Mapping[str, Any]) -> SimulatorSettings:
        """The same settings with some `values` from JSON; raises InvalidRequestError at a wrong one."""
        known = {field.name: str(field.type) for field in fields(self)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InvalidRequestError(f"unknown settings {unknown}; known are {sorted(known)}")
        return replace(self, **{name: _checked(name, known[name], value) for name, value in values.items()})


def _checked(name: str, kind: str, value: Any) -> Any:
    if value is None and kind.endswith("None"):
        return None
    if kind.startswith("tuple"):
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif kind.startswith("str"):
        if isinstance(value, str) and (name != "lost_conversation" or value in LOSSES):
            return value
    elif isinstance(value, NUMBER if kind.startswith("float") else int) and not isinstance(value, bool):
        return value
    known = f"one of {LOSSES}" if name == "lost_conversation" else kind
    raise InvalidRequestError(f"{name!r} must be {known}, not {value!r}")
