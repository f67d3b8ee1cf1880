"""Assembles the answer from the agent's text, and holds back what may need a repair.

text ──LengthLimit──▶ ToolCallParser ──PartRestorer──StopSequences──▶ events
                          │ an unreadable block, a call of a tool not chosen, text that must be JSON
                          ▼
                        held, with all that follows ──repaired, or unchanged──▶ events
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from ..events import CallEvent, ParsedPart, ReplyEvent, Text, ToolCallArguments, ToolCallStart, Unreadable
from ..request.chat_request import ChatRequest
from . import repair_instruction
from .imitations import PartRestorer
from .json_output import InvalidJsonAnswer, JsonFormat
from .pending_call import INVALID_ARGUMENTS, UNDECLARED, PendingToolCall
from .truncation import LengthLimit, StopSequences

if TYPE_CHECKING:
    from .tool_calls.text_parser import TextParser

MAX_CALLS = 500  # of an answer; LiteLLM needs seconds for thousands
UNREADABLE, MISSING, INVALID = "unreadable call", "missing call", "invalid JSON"
ANNOUNCED = "announced call"
FOLLOW_UP = (
    "Your reply announces a tool call, but has no block. Write the block of that call now and nothing else. "
    "If no call is needed, or the user does not want it, write: none"
)


_Held = str | CallEvent | Unreadable | PendingToolCall


def _parser(request: ChatRequest) -> TextParser:
    """Return the parser of the agent's text."""
    if not request.tools:
        from .tool_calls.text_parser import TextParser  # noqa: PLC0415

        return TextParser()
    from .tool_calls.parser import ToolCallParser  # noqa: PLC0415  its patterns are most of the package's import time

    return ToolCallParser({tool.name: tool.parameters for tool in request.tools})


def _neutralised(request: ChatRequest, json_format: JsonFormat | None) -> Set[str]:
    """Return what the prompt of the request has changed, and the answer has to restore."""
    from .prompt.render import neutralised_spellings  # noqa: PLC0415  the fingerprint there imports this module

    return neutralised_spellings(request, has_format=json_format is not None)


class AnswerAssembler:
    """`feed` it the agent's text, then `flush` it; both return the events that are final.

    After that `repair_reason` names what a repair round could fix, and `release_held` returns the
    rest. `calls` are the accepted calls, in their order, and `text` is all of the agent's text, at
    most `max_chars`.

    >>> assembler = AnswerAssembler(ChatRequest([{"role": "user", "content": "Hi"}]))
    >>> assembler.feed("Hel"), assembler.feed("lo"), assembler.flush(), assembler.release_held()
    ([Text(text='Hel')], [Text(text='lo')], [], [])
    """

    def __init__(
        self, request: ChatRequest, json_format: JsonFormat | None = None, max_chars: int | None = None
    ) -> None:
        self.calls: list[PendingToolCall] = []
        self.json_error = ""  # why the text is not the requested JSON
        self._request = request
        self._json_format = json_format
        self._limit = LengthLimit(request.parameters.max_tokens, max_chars)
        self._stop = StopSequences(request.parameters.stop)
        self._parser = _parser(request)
        self._restorer = PartRestorer(lambda: _neutralised(request, json_format))
        self._text: list[str] = []
        self._held: list[_Held] = []  # a PendingToolCall in it has a fault, or its tool was not chosen
        self._holding = json_format is not None
        self._tools = {tool.name: tool for tool in request.tools}
        self._open: ToolCallStart | None = None
        self._excess_call = False  # a call beyond the only one that is allowed
        self._too_many_calls = False
        self._hit_agent_limit = False
        self._sent = 0

    @property
    def text(self) -> str:
        """The agent's text, up to the limit."""
        return "".join(self._text)

    @property
    def done(self) -> bool:
        """Whether further text cannot change the answer."""
        # As `_ended`, without a call of it: this is asked for each piece of text.
        return self._limit.hit or self._stop.hit or self._excess_call or self._too_many_calls or self._parser.closed

    @property
    def in_call(self) -> bool:
        """Whether the text has a call, or may end within one."""
        return bool(self.calls) or any(map(_is_faulty, self._held)) or self._parser.in_call

    @property
    def _ended(self) -> bool:
        return self._stop.hit or self._excess_call or self._parser.closed

    @property
    def truncated(self) -> bool:
        """Whether a limit cut the answer off, or it ends within a call."""
        if self._too_many_calls:
            return True
        if self._ended:
            return False  # before the limit, although the same piece of text may have hit that, too
        cut_within = not self.calls or bool(self._held_positions(Unreadable))
        return self._limit.hit or (self._hit_agent_limit and cut_within)

    @property
    def stop_sequence(self) -> str | None:
        """The stop sequence that ended the answer, if any."""
        return self._stop.found

    @property
    def has_tool_calls(self) -> bool:
        """Whether events of a call have been returned."""
        return self._sent > 0

    def feed(self, text: str) -> list[ReplyEvent]:
        """Read on, and return the events that are final."""
        text = self._limit.feed(text)
        if not text:
            return []
        self._text.append(text)
        return self._accept(self._restorer.feed(self._parser.feed(text)))

    def flush(self, *, limited: bool = False) -> list[ReplyEvent]:
        """Read the rest as the end of the text, and return the events that are final.

        `limited`: the agent's own token limit ended the text, so a cut call is not repaired.
        """
        self._hit_agent_limit = limited
        rest = self._restorer.feed(self._parser.flush())
        events = self._accept([*rest, *self._restorer.flush()])
        events += self._write(self._stop.flush())
        if self._json_format is not None and not self.calls and not any(map(_is_faulty, self._held)):
            try:
                self._held = [self._json_format.read("".join(part for part in self._held if isinstance(part, str)))]
            except InvalidJsonAnswer as error:
                self.json_error = str(error)
        return events

    def repair_reason(self) -> str:
        """Return the label of what a repair round could fix, else an empty string."""
        if self.truncated or self._stop.hit:
            return ""
        if self._held_positions(Unreadable) and not self._full:
            return UNREADABLE
        if self._request.must_call and not self.calls:
            return MISSING
        if (faulty := self._faulty_calls()) and not self._full:
            return faulty[0].fault
        return INVALID if self.json_error else ""

    def lacks_announced_call(self, text: str) -> bool:
        """Return whether `text` of the agent announces a call where the answer may have one.

        `text` is the answer's own, or that of the reply to a follow-up.
        """
        request = self._request
        unwanted = not request.tools or request.must_call or self._json_format is not None
        if unwanted or self.calls or self._held or self.truncated or self._stop.hit:
            return False
        from .announcement import announces_call, forbids_calls  # noqa: PLC0415  its patterns take 0.15 s to compile

        return announces_call(text) and not forbids_calls(request.messages)

    def repair_instruction(self) -> str:
        """Return what the repair prompt asks the agent to write, and what not to repeat."""
        received = [call.name for call in self.calls]
        match self.repair_reason():
            case "unreadable call":
                faults = [part for part in self._held if isinstance(part, Unreadable)]
                return repair_instruction.for_unreadable(faults, received)
            case "undeclared tool":
                names = [call.name for call in self._faulty_calls() if call.fault == UNDECLARED]
                return repair_instruction.for_undeclared(names, self._tools, received)
            case "invalid arguments":
                invalid = [call for call in self._faulty_calls() if call.fault == INVALID_ARGUMENTS]
                return repair_instruction.for_invalid_arguments(invalid, received)
            case "missing call":
                return repair_instruction.for_missing(self._request.tool_choice)
            case _:
                return repair_instruction.for_invalid_json(self.json_error)

    def apply_repair(self, second: AnswerAssembler) -> bool:
        """Insert from the second answer what this one lacks; return whether that had it."""
        if second.truncated:
            return False
        if self.repair_reason() == INVALID:
            if second.repair_reason() or second.json_error or second.calls:
                return False
            self._held = second._held
            return True
        received = {call.key for call in self.calls}
        new = list({call.key: call for call in second.calls if call.key not in received}.values())
        if new:
            self._held = self._held_with(new)
            self.calls += new
        return bool(new)

    def _held_with(self, new: Sequence[PendingToolCall]) -> list[_Held]:
        """Replace each faulty part by a call; the last one takes the remaining calls."""
        faulty = [at for at, part in enumerate(self._held) if isinstance(part, Unreadable) or _has_fault(part)]
        positions = faulty or self._held_positions(PendingToolCall) or [len(self._held)]
        held = list(self._held)
        count = min(len(positions), len(new))
        for number in reversed(range(count)):
            calls = new[number:] if number == count - 1 else new[number : number + 1]
            position = positions[number]
            held[position : position + 1] = [event for call in calls for event in call.events()]
        return held

    def _faulty_calls(self) -> list[PendingToolCall]:
        return [part for part in self._held if isinstance(part, PendingToolCall) and part.fault]

    def _held_positions(self, kind: type[Unreadable | PendingToolCall]) -> list[int]:
        return [position for position, part in enumerate(self._held) if isinstance(part, kind)]

    def release_held(self) -> list[ReplyEvent]:
        """Return what was held; an unreadable block that was not repaired becomes text.

        A call with a fault is returned as the agent wrote it, as a native model's would.
        """
        events: list[ReplyEvent] = []
        without_calls = not self.calls  # then a call of a tool that was not chosen is better than none
        for part in self._held:
            if isinstance(part, str):
                events.append(Text(part))
            elif isinstance(part, Unreadable):
                events.append(Text(self._restorer.whole(part.text)))
            elif not isinstance(part, PendingToolCall):
                events.append(self._numbered(part))
            elif (without_calls or (part.fault and self._is_chosen(part.name))) and not self._full:
                self.calls.append(part)
                events += map(self._numbered, part.events())
        self._held.clear()
        return events

    def _accept(self, parts: Sequence[ParsedPart]) -> list[ReplyEvent]:
        events: list[ReplyEvent] = []
        for part in parts:
            if self._stop.hit or self._excess_call or self._too_many_calls:
                break
            if isinstance(part, str):
                events += self._write(self._stop.feed(part))
                continue
            events += self._write(self._stop.flush())
            if isinstance(part, ToolCallStart):
                self._open = part
            elif isinstance(part, ToolCallArguments):
                if self._open is not None:
                    events += self._take_call(PendingToolCall(self._open.id, self._open.name, part.arguments))
            elif self._full:
                self._excess_call = True
            else:
                self._holding = True
                self._held.append(part)
        return events

    @property
    def _full(self) -> bool:
        """Whether the answer has the only call that it may have."""
        return bool(self.calls) and not self._request.parameters.parallel_tool_calls

    def _is_chosen(self, name: str) -> bool:
        return self._request.tool_choice in {"auto", "required", name}

    def _write(self, text: str) -> list[ReplyEvent]:
        if text and self._holding:
            self._held.append(text)
        return [Text(text)] if text and not self._holding else []

    def _take_call(self, call: PendingToolCall) -> list[ReplyEvent]:
        """Accept a call of the chosen tool without a fault, and only one where one is allowed."""
        if self._full:
            self._excess_call = True
            return []
        if self._open is not None and self._open.index >= MAX_CALLS:
            self._too_many_calls = True
            return []
        call.check(self._tools.get(call.name))
        if call.fault or not self._is_chosen(call.name):
            self._holding = True
            self._held.append(call)
            return []
        self.calls.append(call)
        if self._holding and any(map(_is_faulty, self._held)):
            self._held += call.events()
            return []
        self._holding = False  # with a call, the text before it need not be JSON
        return [*self.release_held(), *map(self._numbered, call.events())]

    def _numbered(self, event: CallEvent) -> CallEvent:
        """Number the calls in the order in which they are returned, which may skip calls."""
        if isinstance(event, ToolCallStart):
            self._sent += 1
            return ToolCallStart(self._sent - 1, event.id, event.name)
        return ToolCallArguments(self._sent - 1, event.arguments)


def _has_fault(part: _Held) -> bool:
    return isinstance(part, PendingToolCall) and bool(part.fault)


def _is_faulty(part: _Held) -> bool:
    return isinstance(part, Unreadable | PendingToolCall)
