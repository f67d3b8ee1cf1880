"""An answer as a sequence of steps, decided without a network and performed by the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .wire import encode_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

JSON = "application/json"
HTML = "text/html; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Open:
    """Send the status line and the headers; a body without a length is sent in chunks."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """Send these bytes, which complete so many frames."""

    data: bytes
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Break:
    """End badly: with a TCP reset, with a close in the middle of the answer, or never."""

    how: Literal["reset", "close", "hang"]


Step: TypeAlias = Open | Write | Pause | Break


def answer_json(status: int, value: Any, headers: tuple[tuple[str, str], ...] = ()) -> Iterator[Step]:
    """A whole JSON answer."""
    return answer_bytes(status, encode_json(value), JSON, headers)


def answer_bytes(
    status: int, data: bytes, content_type: str, headers: tuple[tuple[str, str], ...] = ()
) -> Iterator[Step]:
    """A whole answer with its length; a content type among `headers` goes before `content_type`."""
    headers = with_default(headers, "Content-Type", content_type)
    yield Open(status, with_default(headers, "Content-Length", str(len(data))))
    yield Write(data)


def with_default(headers: tuple[tuple[str, str], ...], name: str, value: str) -> tuple[tuple[str, str], ...]:
    """`headers`, and this one more unless they hold it already."""
    if any(given.lower() == name.lower() for given, _ in headers):
        return headers
    return (*headers, (name, value))


def gather(steps: Iterable[Step], burst: int) -> Iterator[Step]:
    """The same answer with `burst` writes joined in one, after the pauses they would have had."""
    data, frames, writes, seconds = bytearray(), 0, 0, 0.0
    for step in steps:
        if isinstance(step, Pause):
            seconds += step.seconds
        elif isinstance(step, Write):
            data, frames, writes = data + step.data, frames + step.frames, writes + 1
        if writes == burst or isinstance(step, (Open, Break)):
            yield from _flushed(data, frames, seconds)
            data, frames, writes, seconds = bytearray(), 0, 0, 0.0
        if isinstance(step, (Open, Break)):
            yield step
    yield from _flushed(data, frames, seconds)


def _flushed(data: bytearray, frames: int, seconds: float) -> Iterator[Step]:
    if seconds:
        yield Pause(seconds)
    if data:
        yield Write(bytes(data), frames)


def cut(steps: Iterable[Step], size: int) -> Iterator[Step]:
    """The same bytes in writes of `size`, wherever that cuts; what is left goes out before the end."""
    data, frames = b"", 0
    for step in steps:
        if isinstance(step, Write):
            data, frames = data + step.data, frames + step.frames
            whole = len(data) - len(data) % size
            for start in range(0, whole, size):
                last = start + size == whole
                yield Write(data[start : start + size], frames if last else 0)
            data, frames = data[whole:], 0 if whole else frames
        else:
            if isinstance(step, Break):
                yield from _flushed(bytearray(data), frames, 0)
                data, frames = b"", 0
            yield step
    yield from _flushed(bytearray(data), frames, 0)
