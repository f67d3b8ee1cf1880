"""Plays: what a test or a demo asks the simulator to do with coming requests.

A play is a JSON object; `ScriptedResponse` names its fields and `FAULTS` the troubles it can ask for. Plays wait in the
order they were given, and a request consumes the first that fits: it has the same `at`, and `match` is found
in its prompt (at the token endpoint: in its client id; at "upload", the permission: in the file's name; at
"storage": in the path). Where a file is uploaded a play is an HTTP answer, or a fault before one.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from .errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BEFORE_ANSWER = frozenset({"reset_before", "close_before", "hang_headers", "html_502"})
WITHIN_ANSWER = frozenset({"reset_within", "close_within", "stall", "truncated_utf8"})
FAULTS = (
    BEFORE_ANSWER
    | WITHIN_ANSWER
    | {
        "endless_empty",
        "error_frame",
        "null_message",
        "json_body",
        "openai_shape",
        "bad_frame",
        "surrogate",
        "big_line",
    }
)
LINE_ENDINGS = ("\n", "\r\n", "\r")


class Unset(Enum):
    """The value of a field that a play leaves to the simulator, where None means null on the wire."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class ScriptedResponse:
    """One scripted answer; times are seconds, `after` counts the pieces sent before the fault strikes."""

    at: Literal["chat", "token", "upload", "storage"] = "chat"
    match: str | None = None
    times: int | None = 1

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = UNSET

    text: str | None = None
    pieces: tuple[str, ...] | None = None
    frames: tuple[Any, ...] | None = None
    raw: tuple[bytes, ...] | None = None
    final: tuple[tuple[str, Any], ...] = ()
    fat: bool = False
    # Each piece is replaced by the moment at which it is sent, in seconds of the machine's monotonic clock.
    stamped: bool = False
    stop_reason: Any = "stop"
    tokens: Any = UNSET
    omit_final: bool = False
    done: bool = False

    line_ending: str = "\n"
    cut: int | None = None
    burst: int | None = None
    delay_headers: float = 0
    delay_first: float | None = None
    cadence: float | None = None
    fault: str | None = None
    after: int = 1

    expires_in: Any = UNSET
    token: Literal["jwt", "opaque", "without_times"] = "jwt"
    html: bool = False
    empty: bool = False


def read_play(value: object) -> ScriptedResponse:
    """The play of a JSON object; raises InvalidRequestError with what is wrong."""
    if not isinstance(value, dict):
        raise InvalidRequestError(f"a play must be an object, not {value!r}")
    unknown = sorted(set(value) - {field.name for field in fields(ScriptedResponse)})
    if unknown:
        raise InvalidRequestError(f"a play has no fields {unknown}")
    play = ScriptedResponse(**{name: _read_field(name, item) for name, item in value.items()})
    faults = FAULTS if play.at == "chat" else BEFORE_ANSWER
    if play.fault is not None and play.fault not in faults:
        raise InvalidRequestError(f"unknown fault {play.fault!r} at {play.at}; known are {sorted(faults)}")
    return play


class ScriptQueue:
    """The plays still to be performed, first come first served."""

    def __init__(self) -> None:
        self._plays: list[ScriptedResponse] = []

    def __len__(self) -> int:
        return len(self._plays)

    def add(self, plays: list[ScriptedResponse]) -> None:
        """Put `plays` at the end."""
        self._plays.extend(plays)

    def clear(self) -> None:
        """Forget every play."""
        self._plays.clear()

    def take(self, at: str, text: str) -> ScriptedResponse | None:
        """The first play for a request at that endpoint with that text; one of its times is used up."""
        for index, play in enumerate(self._plays):
            if play.at == at and (play.match is None or play.match in text):
                self._use(index, play)
                return play
        return None

    def _use(self, index: int, play: ScriptedResponse) -> None:
        if play.times == 1:
            del self._plays[index]
        elif play.times is not None:
            self._plays[index] = replace(play, times=play.times - 1)


def _read_field(name: str, value: Any) -> Any:
    return READERS[name](name, value) if name in READERS else value


def _one_of(*values: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if value not in values:
            raise InvalidRequestError(f"{name!r} must be one of {values}, not {value!r}")
        return str(value)

    return read


def _of_type(*types: type) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> Any:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            names = " or ".join(kind.__name__ for kind in types)
            raise InvalidRequestError(f"{name!r} must be {names}, not {value!r}")
        return value

    return read


def _read_times(name: str, value: Any) -> int | None:
    if value == "always":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise InvalidRequestError(f'{name!r} must be "always" or a positive whole number, not {value!r}')


def _read_positive(name: str, value: Any) -> int:
    times = _read_times(name, value)
    if times is None:
        raise InvalidRequestError(f"{name!r} must be a positive whole number")
    return times


def _read_pairs(name: str, value: Any) -> tuple[tuple[str, Any], ...]:
    if not isinstance(value, dict):
        raise InvalidRequestError(f"{name!r} must be an object, not {value!r}")
    return tuple(value.items())


def _read_headers(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(item)) for key, item in _read_pairs(name, value))


def _read_list(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise InvalidRequestError(f"{name!r} must be a list, not {value!r}")
    return tuple(value)


def _read_pieces(name: str, value: Any) -> tuple[str, ...]:
    return tuple(_of_type(str)(name, item) for item in _read_list(name, value))


def _read_chunks(name: str, value: Any) -> tuple[bytes, ...]:
    try:
        return tuple(base64.b64decode(item, validate=True) for item in _read_pieces(name, value))
    except binascii.Error:
        raise InvalidRequestError(f"{name!r} must be a list of base64 strings") from None


READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "at": _one_of("chat", "token", "upload", "storage"),
    "match": _of_type(str),
    "times": _read_times,
    "status": _of_type(int),
    "headers": _read_headers,
    "text": _of_type(str),
    "pieces": _read_pieces,
    "frames": _read_list,
    "raw": _read_chunks,
    "final": _read_pairs,
    "fat": _of_type(bool),
    "stamped": _of_type(bool),
    "omit_final": _of_type(bool),
    "done": _of_type(bool),
    "line_ending": _one_of(*LINE_ENDINGS),
    "cut": _read_positive,
    "burst": _read_positive,
    "delay_headers": _of_type(int, float),
    "delay_first": _of_type(int, float),
    "cadence": _of_type(int, float),
    "fault": _of_type(str),
    "after": _of_type(int),
    "token": _one_of("jwt", "opaque", "without_times"),
    "html": _of_type(bool),
    "empty": _of_type(bool),
}
