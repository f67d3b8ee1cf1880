"""The steps of each trouble a play can ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .scripted import UNSET, ScriptedResponse
from .steps import HTML, Break, Pause, Step, Write, answer_bytes
from .wire import encode_frame, error_body, html_page, thin_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

EMPTY_FRAME_EVERY = 0.05
BIG_LINE = 9 * 1024 * 1024
# A reset discards what the client's kernel has not handed over yet, so the pieces get a moment to arrive.
BEFORE_RESET = 0.02


def error_of(play: ScriptedResponse) -> Any:
    """The error that a play sends inside an answer whose status is 200."""
    if play.body is not UNSET:
        return play.body
    return error_body("INFERENCE_5000_INTERNAL_ERROR", "The model stopped in the middle of its answer.")


def _reset(_: ScriptedResponse) -> Iterator[Step]:
    yield Pause(BEFORE_RESET)
    yield Break("reset")


def _close(_: ScriptedResponse) -> Iterator[Step]:
    yield Break("close")


def _hang(_: ScriptedResponse) -> Iterator[Step]:
    yield Break("hang")


def _bad_gateway(play: ScriptedResponse) -> Iterator[Step]:
    page = html_page(502, "Bad Gateway")
    return answer_bytes(play.status or 502, page.encode(), HTML, play.headers)


def _repeat_empty(play: ScriptedResponse) -> Iterator[Step]:
    while True:
        yield _frame(play, thin_frame(""))
        yield Pause(EMPTY_FRAME_EVERY)


def _send_error(play: ScriptedResponse) -> Iterator[Step]:
    yield _frame(play, error_of(play))


def _send_bad_frames(play: ScriptedResponse) -> Iterator[Step]:
    yield _frame(play, "this is not JSON")
    yield _frame(play, [1, "not an object"])


def _send_surrogate(play: ScriptedResponse) -> Iterator[Step]:
    yield _frame(play, thin_frame("\ud83d"))


def _send_big_line(play: ScriptedResponse) -> Iterator[Step]:
    yield _frame(play, thin_frame("a" * BIG_LINE))


def _send_half_character(_: ScriptedResponse) -> Iterator[Step]:
    yield Write('data: {"message":"Sã'.encode()[:-1])


def _frame(play: ScriptedResponse, value: object) -> Write:
    return Write(encode_frame(value, play.line_ending), 1)


# After these a stream goes on.
HARMLESS = frozenset({"bad_frame", "surrogate", "big_line"})
TROUBLES: Mapping[str, Callable[[ScriptedResponse], Iterator[Step]]] = {
    "reset_before": _reset,
    "close_before": _close,
    "hang_headers": _hang,
    "html_502": _bad_gateway,
    "reset_within": _reset,
    "close_within": _close,
    "stall": _hang,
    "endless_empty": _repeat_empty,
    "error_frame": _send_error,
    "truncated_utf8": _send_half_character,
    "bad_frame": _send_bad_frames,
    "surrogate": _send_surrogate,
    "big_line": _send_big_line,
}
