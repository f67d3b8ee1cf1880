"""Makes of an agent's text the answer that the request asks for, and keeps back what has to be mended first.

text ──Length──▶ ToolCallParser ──StopSequences──▶ what goes out
                      │ a block that cannot be read, a call of a tool that was not chosen, text that has to be JSON
                      ▼
                    held, with all that follows ──mended by a second answer, or as it is──▶ what goes out
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..events import CallEvent, ReadEvent, ReplyEvent, Text, ToolCallArguments, ToolCallStart, Unreadable
from ..request.chat_request import ChatRequest
from .json_output import InvalidJsonAnswer, JsonFormat
from .truncation import StopSequences, TokenLimit

if TYPE_CHECKING:
    from .tool_calls.parser import ToolCallParser

QUOTED_CHARACTERS = 4_000
UNREADABLE, MISSING, INVALID = "unreadable call", "missing call", "invalid JSON"


def signature(name: str, arguments: str) -> tuple[str, str]:
    """Return what two calls share that ask for the same: the name, and the arguments however they are written."""
    try:
        return name, json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return name, arguments


@dataclass(slots=True)
class PendingToolCall:
    """A call that the agent made."""

    id: str
    name: str
    pieces: list[str] = field(default_factory=list)

    @property
    def signature(self) -> tuple[str, str]:
        """What two calls share that ask for the same."""
        return signature(self.name, "".join(self.pieces))

    def events(self) -> Sequence[CallEvent]:
        """Return it as it goes out; the number is given then."""
        return [ToolCallStart(0, self.id, self.name), ToolCallArguments(0, "".join(self.pieces))]


_Held = Text | ToolCallStart | ToolCallArguments | Unreadable | PendingToolCall


def _reader(request: ChatRequest) -> ToolCallParser | None:
    """Return what reads calls, where there are tools."""
    if not request.tools:
        return None
    from .tool_calls.parser import ToolCallParser  # noqa: PLC0415  its patterns are most of the package's time to import

    return ToolCallParser({tool.name: tool.parameters for tool in request.tools})


class AnswerAssembler:
    """`feed` it the agent's text, and `flush` it at the end; then there may be a `fault`, and `settle` gives what was held.

    `calls` are those that were accepted, in their order, and `text` is all that the agent wrote.
    """

    def __init__(self, request: ChatRequest, json_format: JsonFormat | None = None) -> None:
        self.calls: list[PendingToolCall] = []
        self.invalid = ""  # why the text is not the JSON that was asked for
        self._request = request
        self._json = json_format
        self._length = TokenLimit(request.parameters.max_tokens)
        self._stop = StopSequences(request.parameters.stop)
        self._reader = _reader(request)
        self._text: list[str] = []
        self._held: list[_Held] = []  # a Call in it is one of a tool that was not chosen
        self._holding = json_format is not None
        self._open: PendingToolCall | None = None
        self._accepting = False
        self._enough = False
        self._limited = False
        self._begun = 0
        self._sent = 0

    @property
    def text(self) -> str:
        """The agent's own words."""
        return "".join(self._text)

    @property
    def closed(self) -> bool:
        """Whether no further text matters."""
        return self._length.hit or self._ended

    @property
    def _ended(self) -> bool:
        return self._stop.hit or self._enough or (self._reader is not None and self._reader.closed)

    @property
    def cut_off(self) -> bool:
        """Whether the answer ends where a limit cut it off, or within a call."""
        if self._reader is not None and any(index < self._begun for index in self._reader.cut):
            return True
        if self._ended:
            return False  # before the limit, although what is behind that may have come in the same piece
        cut_within = not self.calls or bool(self._places(Unreadable))
        return self._length.hit or (self._limited and cut_within)

    @property
    def stopped(self) -> bool:
        """Whether a stop sequence ended it."""
        return self._stop.hit

    @property
    def called(self) -> bool:
        """Whether a call went out."""
        return self._sent > 0

    def feed(self, text: str) -> list[ReplyEvent]:
        """Read on; returns what can go out."""
        text = self._length.feed(text)
        if not text:
            return []
        self._text.append(text)
        return self._take(self._reader.feed(text) if self._reader is not None else [Text(text)])

    def flush(self, *, limited: bool = False) -> list[ReplyEvent]:
        """Read the rest, as the end of the agent's text; returns what can go out.

        `limited` tells that a limit of the agent's own ended it: where that cut something, it is not to be mended.
        """
        self._limited = limited
        told = self._take(self._reader.flush()) if self._reader is not None else []
        told += self._write(self._stop.flush())
        if self._json is not None and not self.calls and not self._has_faulty():
            try:
                self._held = [
                    Text(self._json.read("".join(event.text for event in self._held if isinstance(event, Text))))
                ]
            except InvalidJsonAnswer as error:
                self.invalid = str(error)
        return told

    def fault(self) -> str:
        """Name what a second answer could mend, or nothing."""
        if self.cut_off or self._stop.hit:
            return ""
        if self._places(Unreadable) and not self._full:
            return UNREADABLE
        if self._request.must_call and not self.calls:
            return MISSING
        return INVALID if self.invalid else ""

    def correction(self) -> str:
        """Say to the agent what it has to mend, and what it need not write again."""
        match self.fault():
            case "unreadable call":
                broken = "\n".join(map(_quoted, (event for event in self._held if isinstance(event, Unreadable))))
                asked = (
                    f"This part of your reply cannot be read as a tool call:\n{broken}\n"
                    "Write it again, as a block with the tool's exact name and valid JSON arguments, and nothing else."
                )
                gone = ", ".join(call.name for call in self.calls)
                return f"{asked} These calls were received, leave them out: {gone}." if gone else asked
            case "missing call":
                choice = self._request.tool_choice
                which = "" if choice == "required" else f" for {choice}"
                return f"Your reply has to hold a tool call block{which}. Write that block now and nothing else."
            case _:
                return f"Your reply is not the JSON that was asked for: {self.invalid}. Write the right JSON and nothing else."

    def mend(self, second: AnswerAssembler) -> bool:
        """Take from a second answer of the agent what this one lacks; tells whether it was there."""
        if second.cut_off:
            return False
        if self.fault() == INVALID:
            if second.fault() or second.invalid or second.calls:
                return False
            self._held = second._held
            return True
        received = {call.signature for call in self.calls}
        new = list({call.signature: call for call in second.calls if call.signature not in received}.values())
        if new:
            self._held = self._with(new)
            self.calls += new
        return bool(new)

    def _with(self, new: Sequence[PendingToolCall]) -> list[_Held]:
        """Put calls where the broken blocks are, one for each; a block that is left over stays visible."""
        places = self._places(Unreadable) or self._places(PendingToolCall) or [len(self._held)]
        held = list(self._held)
        count = min(len(places), len(new))
        for number in reversed(range(count)):
            calls = new[number:] if number == count - 1 else new[number : number + 1]
            held[places[number] : places[number] + 1] = [event for call in calls for event in call.events()]
        return held

    def _places(self, kind: type[Unreadable | PendingToolCall]) -> list[int]:
        return [at for at, event in enumerate(self._held) if isinstance(event, kind)]

    def settle(self) -> list[ReplyEvent]:
        """Return what was held: what could not be mended goes out as the agent wrote it."""
        told: list[ReplyEvent] = []
        without = not self.calls  # a call of another tool than the chosen one is better than none
        for event in self._held:
            if isinstance(event, Unreadable):
                told.append(Text(event.text))
            elif not isinstance(event, PendingToolCall):
                told.append(self._numbered(event))
            elif without and not self._full:
                self.calls.append(event)
                told += map(self._numbered, event.events())
        self._held.clear()
        return told

    def _has_faulty(self) -> bool:
        return any(map(_is_faulty, self._held))

    def _take(self, events: Sequence[ReadEvent]) -> list[ReplyEvent]:
        told: list[ReplyEvent] = []
        for event in events:
            if self._stop.hit or self._enough:
                break
            if isinstance(event, Text):
                told += self._write(self._stop.feed(event.text))
                continue
            told += self._write(self._stop.flush())
            if isinstance(event, ToolCallStart):
                told += self._begin(event)
            elif isinstance(event, ToolCallArguments):
                told += self._continue(event)
            elif self._full:
                self._enough = True
            else:
                self._holding = True
                self._held.append(event)
        return told

    @property
    def _full(self) -> bool:
        """Whether the answer has the one call that it may have."""
        return bool(self.calls) and not self._request.parameters.parallel_tool_calls

    def _write(self, text: str) -> list[ReplyEvent]:
        return self._out(Text(text)) if text else []

    def _begin(self, start: ToolCallStart) -> list[ReplyEvent]:
        """Accept a call of the chosen tool, and one only where the request wants that."""
        if self._full:
            self._enough = True
            return []
        self._open = PendingToolCall(start.id, start.name)
        self._begun = start.index + 1
        self._accepting = self._request.tool_choice in {"auto", "required", start.name}
        if not self._accepting:
            self._holding = True
            self._held.append(self._open)
            return []
        self.calls.append(self._open)
        if not self._holding or self._has_faulty():
            return self._out(start)
        self._holding = False  # with a call, the text before it need not be JSON
        return [*self.settle(), *self._out(start)]

    def _continue(self, event: ToolCallArguments) -> list[ReplyEvent]:
        if self._open is not None:
            self._open.pieces.append(event.arguments)
        return self._out(event) if self._accepting else []

    def _out(self, event: Text | ToolCallStart | ToolCallArguments) -> list[ReplyEvent]:
        if not self._holding:
            return [self._numbered(event)]
        self._held.append(event)
        return []

    def _numbered(self, event: ReplyEvent) -> ReplyEvent:
        """Give calls their numbers in the order in which they go out."""
        if isinstance(event, ToolCallStart):
            self._sent += 1
            return ToolCallStart(self._sent - 1, event.id, event.name)
        return ToolCallArguments(self._sent - 1, event.arguments) if isinstance(event, ToolCallArguments) else event


def _quoted(block: Unreadable) -> str:
    """Return the beginning of a block: the whole of it stands in the reply that the correction follows."""
    text = block.text.strip()
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[:QUOTED_CHARACTERS]} …"


def _is_faulty(event: _Held) -> bool:
    return isinstance(event, Unreadable | PendingToolCall)
