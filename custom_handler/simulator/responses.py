"""The responses to requests: scripted, failing, or with the agent's reply."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

from .scripted import BEFORE_RESPONSE, ScriptedResponse
from .wire import FULL_FRAME, count_tokens, encode_frame, error_body, html_page, openai_frame, split_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .exchange import Exchange
    from .settings import SimulatorSettings

EVENT_STREAM = "text/event-stream; charset=utf-8"
# A word comes up to this share of the cadence early or late.
SPREAD = 0.3
# A filtered reply has no text, but tokens.
FILTERED_TOKENS = 5

# A stream continues after these faults.
HARMLESS = frozenset({"bad_frame", "surrogate", "big_line"})
# The faults of a stream; the other ones change its frames.
STREAM_FAULTS = HARMLESS | {
    "reset_within",
    "close_within",
    "stall",
    "endless_empty",
    "endless_text",
    "endless_frame",
    "error_frame",
    "error_event",
    "truncated_utf8",
}
EMPTY_FRAME_INTERVAL = 0.05
BIG_LINE = 9 * 1024 * 1024
ENDLESS_PIECE = "word " * 200
# A reset discards the bytes that the client's kernel has not delivered yet.
RESET_DELAY = 0.02
STREAM_ERROR = error_body("INFERENCE_5000_INTERNAL_ERROR", "The model stopped in the middle of its answer.")


@dataclass(frozen=True, slots=True)
class Question:
    """A chat request with the ids of its response; `before` is the conversation's characters.

    `sources` are the fields of the response that name its knowledge sources.
    """

    prompt: str
    streaming: bool
    message_id: str
    conversation_id: str | None = None
    before: int = 0
    sources: Mapping[str, Any] = field(default_factory=dict)


class ResponseWriter:
    """Write the response to one question in the format of the Agent API."""

    def __init__(
        self, exchange: Exchange, scripted: ScriptedResponse, question: Question, settings: SimulatorSettings
    ) -> None:
        self.exchange = exchange
        self.scripted = scripted
        self.question = question
        self._settings = settings
        self._random = Random(0)  # noqa: S311 - paces a stream, protects nothing
        self._filtered = scripted.fault == "null_message"
        pieces = split_words(scripted.text or "") if scripted.pieces is None else scripted.pieces
        self._pieces = [] if self._filtered else pieces
        self.text = "".join(self._pieces)
        self._first_delay = settings.first_token_delay if scripted.delay_first is None else scripted.delay_first

    async def write(self) -> None:
        """Write the response that the script asks for, or break the connection off."""
        exchange, scripted = self.exchange, self.scripted
        await exchange.pause(scripted.delay_headers)
        if scripted.fault in BEFORE_RESPONSE or (scripted.fault is None and scripted.is_http_response):
            await exchange.pause(self._first_delay)
            await send_http_response(exchange, scripted)
        elif scripted.raw is not None:
            await exchange.open(scripted.status or 200, EVENT_STREAM, scripted.headers)
            for index, chunk in enumerate(scripted.raw):
                await exchange.pause(self._cadence() if index else self._first_delay)
                await exchange.write(chunk, 1)
        elif self.question.streaming and scripted.fault != "json_body":
            await self._write_stream()
        elif scripted.fault in STREAM_FAULTS or scripted.frames is not None:
            await self._write_stream()  # in a whole body there is no place for them
        else:
            await self._write_whole()

    async def _write_whole(self) -> None:
        exchange, timeout = self.exchange, self._settings.gateway_timeout
        seconds = self._first_delay + sum(self._cadence() for _ in self._pieces[1:])
        if seconds > timeout:
            await exchange.pause(timeout)
            await exchange.break_off("close")
        await exchange.pause(seconds)
        await exchange.send(self.scripted.status or 200, self.whole_body(), self.scripted.headers)

    async def _write_stream(self) -> None:
        exchange, scripted = self.exchange, self.scripted
        exchange.burst, exchange.cut = scripted.burst or self._settings.burst, scripted.cut
        headers = {"Cache-Control": "no-cache", **scripted.headers}
        await exchange.open(scripted.status or 200, EVENT_STREAM, headers)
        await exchange.pause(self._first_delay)
        if scripted.frames is None:
            await self.write_frame(self.frame("", first=True))
        pieces = self._pieces if scripted.frames is None else scripted.frames
        # A stream with fewer pieces fails after the last one.
        fails_at = min(scripted.after, len(pieces)) if scripted.fault in STREAM_FAULTS else -1
        for index in range(len(pieces) + 1):
            if index == fails_at:
                await fail(exchange, scripted)
                if scripted.fault not in HARMLESS:
                    return
            if index < len(pieces):
                await exchange.pause(self._cadence() if index else 0)
                await self.write_frame(self._frame_at(index))
        await self.write_end()

    def _frame_at(self, index: int) -> Any:
        if self.scripted.frames is not None:
            return self.scripted.frames[index]
        return self.frame(f" {time.monotonic():.6f}" if self.scripted.stamped else self._pieces[index])

    def frame(self, message: str, *, first: bool = False) -> dict[str, Any]:
        """Return a frame with an increment of text; the first frame has all fields."""
        if self.scripted.fault == "openai_shape":
            return openai_frame(message)
        if first or self.scripted.fat:
            own = {"message": None if self._filtered else message}
            return FULL_FRAME | own | (self.scripted.first if first else {})
        return {"message": message}

    async def write_end(self) -> None:
        """Write the frames after the last increment."""
        scripted, in_openai_shape = self.scripted, self.scripted.fault == "openai_shape"
        if scripted.frames is None and not scripted.omit_final:
            await self.write_frame(openai_frame(None, "stop") if in_openai_shape else self._last_frame(""))
        if scripted.done or in_openai_shape:
            await self.write_frame("[DONE]")

    def whole_body(self) -> dict[str, Any]:
        """Return the body of a response that is not streamed."""
        return self._last_frame(self.text)

    def _last_frame(self, message: str) -> dict[str, Any]:
        question, scripted, settings = self.question, self.scripted, self._settings
        tokens = {
            "user": None,
            "enrichment": None,
            "input": round(count_tokens(question.prompt, question.before) * settings.token_scale)
            + settings.token_offset,
            "output": FILTERED_TOKENS if self._filtered else count_tokens(self.text),
        }
        own = {
            "message": None if self._filtered else message,
            "stop_reason": scripted.stop_reason,
            "tokens": scripted.tokens if scripted.sets("tokens") else tokens,
            "conversation_id": question.conversation_id,
            "message_id": question.message_id,
            **question.sources,
        }
        return FULL_FRAME | own | scripted.final

    async def write_frame(self, frame: object) -> None:
        """Write one Server-Sent Event."""
        await self.exchange.write(encode_frame(frame, self.scripted.line_ending), 1)

    def _cadence(self) -> float:
        if self.scripted.cadence is not None:
            return self.scripted.cadence
        return self._settings.cadence * (1 + SPREAD * (2 * self._random.random() - 1))


async def fail(exchange: Exchange, scripted: ScriptedResponse) -> None:
    """Play `scripted.fault`; return if the response can end or continue normally."""

    async def send_frame(value: object) -> None:
        await exchange.write(encode_frame(value, scripted.line_ending), 1)

    match scripted.fault:
        case "reset_before" | "reset_within":
            await exchange.break_off("reset", RESET_DELAY)
        case "close_before" | "close_within":
            await exchange.break_off("close")
        case "hang_headers" | "stall":
            await exchange.break_off("hang")
        case "html_502":
            await exchange.send(scripted.status or 502, html_page("502 Bad Gateway"), scripted.headers)
        case "endless_empty" | "endless_text" | "endless_frame":
            await _write_without_end(exchange, scripted)
        case "error_frame" | "error_event":
            own = scripted.body if scripted.sets("body") else STREAM_ERROR
            if scripted.fault == "error_event":
                await exchange.write(f"event: error{scripted.line_ending}".encode())
            await send_frame(own)
        case "truncated_utf8":
            await exchange.write('data: {"message":"Sã'.encode()[:-1])
        case "bad_frame":
            await send_frame("this is not JSON")
            await send_frame([1, "not an object"])
        case "surrogate":
            await send_frame({"message": "\ud83d"})
        case "big_line":
            await send_frame({"message": "a" * BIG_LINE})


async def _write_without_end(exchange: Exchange, scripted: ScriptedResponse) -> NoReturn:
    """Write empty frames, frames of text as fast as they are read, or one frame."""
    if scripted.fault == "endless_frame":
        await exchange.write(b'data: {"message": "')
    while True:
        if scripted.fault == "endless_frame":
            await exchange.write(ENDLESS_PIECE.encode())
        elif scripted.fault == "endless_text":
            await exchange.write(encode_frame({"message": ENDLESS_PIECE}, scripted.line_ending), 1)
        else:
            await exchange.write(encode_frame({"message": ""}, scripted.line_ending), 1)
            await exchange.pause(EMPTY_FRAME_INTERVAL)


async def send_http_response(exchange: Exchange, scripted: ScriptedResponse) -> None:
    """Send the status, headers and body of a script, or fail before them."""
    if scripted.fault is not None:
        await fail(exchange, scripted)
    else:
        body = scripted.body if scripted.sets("body") else ""
        await exchange.send(scripted.status or 200, body, scripted.headers)
