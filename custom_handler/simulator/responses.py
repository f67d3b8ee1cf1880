"""Turns a play, or an agent's reply, into the steps of an answer to one chat request."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from .faults import HARMLESS, TROUBLES, error_of
from .scripted import BEFORE_ANSWER, UNSET, WITHIN_ANSWER, ScriptedResponse
from .steps import (
    EVENT_STREAM,
    HTML,
    JSON,
    PLAIN,
    Break,
    Open,
    Pause,
    Step,
    Write,
    answer_bytes,
    answer_json,
    cut,
    gather,
    with_default,
)
from .wire import (
    count_tokens,
    encode_frame,
    encode_json,
    fat_frame,
    openai_frame,
    split_words,
    thin_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .settings import SimulatorSettings

# A word comes up to this share of the cadence early or late.
SPREAD = 0.3
# A filtered answer costs its tokens all the same.
FILTERED_TOKENS = 5


@dataclass(frozen=True, slots=True)
class Question:
    """What a chat request asks for, with the identifiers its answer will carry; `before` is what is read beside it."""

    prompt: str
    streaming: bool
    message_id: str
    conversation_id: str | None = None
    before: int = 0


def perform(score: ResponseWriter) -> Iterator[Step]:
    """The steps of the answer that the score's play asks for; what it leaves open is taken from the settings."""
    play = score.play
    yield from pause(play.delay_headers)
    if play.fault in BEFORE_ANSWER:
        yield from pause(score.first_delay)
        yield from TROUBLES[str(play.fault)](play)
    elif play.fault is None and is_plain(play):
        yield from pause(score.first_delay)
        yield from answer_plainly(play)
    elif play.raw is not None:
        yield from score.raw()
    elif play.frames is None and (play.fault == "json_body" or not score.question.streaming):
        yield from score.whole()
    else:
        yield from score.stream()


def is_plain(play: ScriptedResponse) -> bool:
    """Whether `play` sets an HTTP answer of its own in place of an agent's."""
    return play.body is not UNSET or (play.status is not None and play.status >= 400)


def answer_plainly(play: ScriptedResponse) -> Iterator[Step]:
    """The status, headers and body of `play`: a string as text or HTML, anything else as JSON."""
    status = play.status or 200
    if play.body is UNSET:
        return answer_bytes(status, b"", PLAIN, play.headers)
    if not isinstance(play.body, str):
        return answer_json(status, play.body, play.headers)
    kind = HTML if play.body.lstrip().startswith("<") else PLAIN
    return answer_bytes(status, play.body.encode(errors="replace"), kind, play.headers)


def perform_plainly(play: ScriptedResponse) -> Iterator[Step]:
    """The steps of a play at an endpoint that is no agent: a pause, then a trouble or an HTTP answer."""
    yield from pause(play.delay_headers)
    yield from answer_plainly(play) if play.fault is None else TROUBLES[play.fault](play)


def pause(seconds: float) -> Iterator[Step]:
    """A pause, when there is anything to wait for."""
    if seconds:
        yield Pause(seconds)


class ResponseWriter:
    """One play read against one question, in the words of the Agent API."""

    def __init__(self, play: ScriptedResponse, question: Question, settings: SimulatorSettings) -> None:
        self.play = play
        self.question = question
        self._settings = settings
        self._random = Random(settings.seed)  # noqa: S311 - paces a stream, hides nothing
        self._filtered = play.fault == "null_message"
        self._pieces = () if self._filtered else _pieces_of(play)
        self.text = "".join(self._pieces)
        self.first_delay = settings.first_token_delay if play.delay_first is None else play.delay_first

    def raw(self) -> Iterator[Step]:
        """The play's own bytes, as they are."""
        play = self.play
        yield Open(play.status or 200, with_default(play.headers, "Content-Type", EVENT_STREAM))
        for index, chunk in enumerate(play.raw or ()):
            yield from pause(self._cadence() if index else self.first_delay)
            yield Write(chunk, 1)

    def stream(self) -> Iterator[Step]:
        """Server-Sent Events, with the play's trouble in its place."""
        play = self.play
        headers = with_default(play.headers, "Content-Type", EVENT_STREAM)
        yield Open(play.status or 200, with_default(headers, "Cache-Control", "no-cache"))
        burst = play.burst or self._settings.burst
        steps = self._events() if burst == 1 else gather(self._events(), burst)
        yield from cut(steps, play.cut) if play.cut else steps

    def whole(self) -> Iterator[Step]:
        """One JSON answer when all is said; what outlasts the gateway's patience is dropped unanswered."""
        patience = self._settings.gateway_timeout
        seconds = self.first_delay + sum(self._cadence() for _ in self._pieces[1:])
        if self.play.fault == "endless_empty" or seconds > patience:
            yield Pause(patience)
            yield Break("close")
            return
        yield from pause(seconds)
        yield from self._whole_body()

    def _whole_body(self) -> Iterator[Step]:
        play, answer = self.play, self.answer()
        if play.fault == "error_frame":
            yield from answer_json(play.status or 200, error_of(play), play.headers)
        elif play.fault in WITHIN_ANSWER:
            yield Open(play.status or 200, with_default(play.headers, "Content-Type", JSON))
            data = encode_json(answer)
            yield Write(data[: len(data) // 2])
            yield from TROUBLES[play.fault](play)
        else:
            yield from answer_json(play.status or 200, answer, play.headers)

    def answer(self) -> dict[str, Any]:
        """The whole answer as one JSON object."""
        return self._last_frame(None if self._filtered else self.text)

    def _events(self) -> Iterator[Step]:
        yield from pause(self.first_delay)
        if self.play.frames is None:
            yield self.write(self.shaped("", opening=True))
        trouble = TROUBLES.get(self.play.fault or "")
        count = len(self._pieces if self.play.frames is None else self.play.frames)
        # An answer with fewer pieces than that meets its trouble at their end.
        strikes_at = min(self.play.after, count)
        for index in range(count + 1):
            if trouble and index == strikes_at:
                yield from trouble(self.play)
                if self.play.fault not in HARMLESS:
                    return
            if index < count:
                yield from pause(self._cadence() if index else 0)
                yield self.write(self._frame(index))
        yield from self.closing()

    def _frame(self, index: int) -> Any:
        if self.play.frames is not None:
            return self.play.frames[index]
        return self.shaped(f" {time.monotonic():.6f}" if self.play.stamped else self._pieces[index])

    def shaped(self, message: str, *, opening: bool = False) -> dict[str, Any]:
        """One frame with an increment of text."""
        if self.play.fault == "openai_shape":
            return openai_frame(message)
        if opening or self.play.fat:
            return fat_frame(None if self._filtered else message)
        return thin_frame(message)

    def closing(self) -> Iterator[Step]:
        """The writes behind the last increment."""
        play = self.play
        in_openai_shape = play.fault == "openai_shape"
        if play.frames is None and not play.omit_final:
            last = self._last_frame(None if self._filtered else "")
            yield self.write(openai_frame(None, "stop") if in_openai_shape else last)
        if play.done or in_openai_shape:
            yield self.write("[DONE]")

    def _last_frame(self, message: str | None) -> dict[str, Any]:
        question, play = self.question, self.play
        output = FILTERED_TOKENS if self._filtered else count_tokens(self.text)
        counts = {
            "user": None,
            "enrichment": None,
            "input": count_tokens(question.prompt, question.before),
            "output": output,
        }
        own = {
            "stop_reason": play.stop_reason,
            "tokens": counts if play.tokens is UNSET else play.tokens,
            "conversation_id": question.conversation_id,
            "message_id": question.message_id,
        }
        return fat_frame(message) | own | dict(play.final)

    def write(self, frame: object) -> Write:
        """One frame on the wire."""
        return Write(encode_frame(frame, self.play.line_ending), 1)

    def _cadence(self) -> float:
        if self.play.cadence is not None:
            return self.play.cadence
        return self._settings.cadence * (1 + SPREAD * (2 * self._random.random() - 1))


def _pieces_of(play: ScriptedResponse) -> tuple[str, ...]:
    return tuple(split_words(play.text or "")) if play.pieces is None else play.pieces
