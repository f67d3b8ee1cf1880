"""Turns a play, or an agent's reply, into the steps of an answer to one chat request."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from .plays import BEFORE_ANSWER, UNSET, WITHIN_ANSWER, Play
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
from .troubles import HARMLESS, TROUBLES, error_of
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
    """What a chat request asks for, with the identifiers its answer will carry."""

    prompt: str
    streaming: bool
    message_id: str
    conversation_id: str | None = None


def perform(play: Play, question: Question, settings: SimulatorSettings) -> Iterator[Step]:
    """The steps of the answer `play` asks for; what it leaves open is taken from `settings`."""
    score = _Score(play, question, settings)
    yield from pause(play.delay_headers)
    if play.fault in BEFORE_ANSWER:
        yield from pause(score.first_delay)
        yield from TROUBLES[str(play.fault)](play)
    elif play.fault is None and is_plain(play):
        yield from pause(score.first_delay)
        yield from answer_plainly(play)
    elif play.raw is not None:
        yield from score.raw()
    elif play.frames is None and (play.fault == "json_body" or not question.streaming):
        yield from score.whole()
    else:
        yield from score.stream()


def is_plain(play: Play) -> bool:
    """Whether `play` sets an HTTP answer of its own in place of an agent's."""
    return play.body is not UNSET or (play.status is not None and play.status >= 400)


def answer_plainly(play: Play) -> Iterator[Step]:
    """The status, headers and body of `play`: a string as text or HTML, anything else as JSON."""
    status = play.status or 200
    if play.body is UNSET:
        return answer_bytes(status, b"", PLAIN, play.headers)
    if not isinstance(play.body, str):
        return answer_json(status, play.body, play.headers)
    kind = HTML if play.body.lstrip().startswith("<") else PLAIN
    return answer_bytes(status, play.body.encode(errors="replace"), kind, play.headers)


def pause(seconds: float) -> Iterator[Step]:
    """A pause, when there is anything to wait for."""
    if seconds:
        yield Pause(seconds)


class _Score:
    """One play read against one question."""

    def __init__(self, play: Play, question: Question, settings: SimulatorSettings) -> None:
        self._play = play
        self._question = question
        self._settings = settings
        self._random = Random(settings.seed)  # noqa: S311 - paces a stream, hides nothing
        self._filtered = play.fault == "null_message"
        self._pieces = () if self._filtered else _pieces_of(play)
        self._text = "".join(self._pieces)
        self.first_delay = settings.first_token_delay if play.delay_first is None else play.delay_first

    def raw(self) -> Iterator[Step]:
        """The play's own bytes, as they are."""
        play = self._play
        yield Open(play.status or 200, with_default(play.headers, "Content-Type", EVENT_STREAM))
        for index, chunk in enumerate(play.raw or ()):
            yield from pause(self._cadence() if index else self.first_delay)
            yield Write(chunk, 1)

    def stream(self) -> Iterator[Step]:
        """Server-Sent Events, with the play's trouble in its place."""
        play = self._play
        headers = with_default(play.headers, "Content-Type", EVENT_STREAM)
        yield Open(play.status or 200, with_default(headers, "Cache-Control", "no-cache"))
        steps = gather(self._events(), play.burst or self._settings.burst)
        yield from cut(steps, play.cut) if play.cut else steps

    def whole(self) -> Iterator[Step]:
        """One JSON answer when all is said; what outlasts the gateway's patience is dropped unanswered."""
        patience = self._settings.gateway_timeout
        seconds = self.first_delay + sum(self._cadence() for _ in self._pieces[1:])
        if self._play.fault == "endless_empty" or seconds > patience:
            yield Pause(patience)
            yield Break("close")
            return
        yield from pause(seconds)
        yield from self._whole_body()

    def _whole_body(self) -> Iterator[Step]:
        play, answer = self._play, self._last_frame(self._text if not self._filtered else None)
        if play.fault == "error_frame":
            yield from answer_json(play.status or 200, error_of(play), play.headers)
        elif play.fault in WITHIN_ANSWER:
            yield Open(play.status or 200, with_default(play.headers, "Content-Type", JSON))
            data = encode_json(answer)
            yield Write(data[: len(data) // 2])
            yield from TROUBLES[play.fault](play)
        else:
            yield from answer_json(play.status or 200, answer, play.headers)

    def _events(self) -> Iterator[Step]:
        yield from pause(self.first_delay)
        if self._play.frames is None:
            yield self._write(self._shaped("", opening=True))
        trouble = TROUBLES.get(self._play.fault or "")
        frames = self._frames()
        # An answer with fewer pieces than that meets its trouble at their end.
        strikes_at = min(self._play.after, len(frames))
        for index in range(len(frames) + 1):
            if trouble and index == strikes_at:
                yield from trouble(self._play)
                if self._play.fault not in HARMLESS:
                    return
            if index < len(frames):
                yield from pause(self._cadence() if index else 0)
                yield self._write(frames[index])
        yield from self._closing()

    def _frames(self) -> tuple[Any, ...]:
        if self._play.frames is not None:
            return self._play.frames
        return tuple(self._shaped(piece) for piece in self._pieces)

    def _shaped(self, message: str, *, opening: bool = False) -> dict[str, Any]:
        if self._play.fault == "openai_shape":
            return openai_frame(message)
        if opening or self._play.fat:
            return fat_frame(None if self._filtered else message)
        return thin_frame(message)

    def _closing(self) -> Iterator[Step]:
        play = self._play
        in_openai_shape = play.fault == "openai_shape"
        if play.frames is None and not play.omit_final:
            last = self._last_frame(None if self._filtered else "")
            yield self._write(openai_frame(None, "stop") if in_openai_shape else last)
        if play.done or in_openai_shape:
            yield self._write("[DONE]")

    def _last_frame(self, message: str | None) -> dict[str, Any]:
        question, play = self._question, self._play
        output = FILTERED_TOKENS if self._filtered else count_tokens(self._text)
        counts = {"user": None, "enrichment": None, "input": count_tokens(question.prompt), "output": output}
        own = {
            "stop_reason": play.stop_reason,
            "tokens": counts if play.tokens is UNSET else play.tokens,
            "conversation_id": question.conversation_id,
            "message_id": question.message_id,
        }
        return fat_frame(message) | own | dict(play.final)

    def _write(self, frame: object) -> Write:
        return Write(encode_frame(frame, self._play.line_ending), 1)

    def _cadence(self) -> float:
        if self._play.cadence is not None:
            return self._play.cadence
        return self._settings.cadence * (1 + SPREAD * (2 * self._random.random() - 1))


def _pieces_of(play: Play) -> tuple[str, ...]:
    return tuple(split_words(play.text or "")) if play.pieces is None else play.pieces
