"""Finds what belongs to a chat's format, and not to the answer: labels and end tokens.

An agent may repeat the label of its own turn, go on with a turn of the user, or write the tokens
with which its model ends a turn. The functions return None while more text may decide.
"""

from __future__ import annotations

import regex

from ..labels import ASSISTANT, CLOSE, CORRECTION, NOTE, OPEN, REMINDER, RESULT, SYSTEM, USER

_FLAGS = regex.IGNORECASE
_OWN_WORDS = "|".join((ASSISTANT, REMINDER, CORRECTION))
_OUR_TURN = f"{OPEN}(?:{'|'.join((USER, ASSISTANT, SYSTEM, RESULT, NOTE, REMINDER, CORRECTION))})"
_WINDOW = 200
_LINE = 100

_END = (
    r"<\|(?:eot_id|eom_id|im_end|end|end_of_text|endoftext|end_of_turn|return|eos)\|>|<end_of_turn>"
    r"|<｜end▁of▁sentence｜>|<eos>|</s>"
)
# At the start of a reply.
_OWN = regex.compile(
    rf"(?:\[(?:{_OWN_WORDS})\]|{OPEN}(?:{_OWN_WORDS})(?:[ ][^{CLOSE}\n]{{1,128}})?{CLOSE})(?P<same>(?=[\s\S]))"
    r"|</?assistant>"
    r"|<s>(?=\s{0,4}(?:FUNCTION|TOOL|\[INST))|\[INST\]\s{0,3}\[/INST\]|\[/INST\](?=[ \t]{0,4}(?:\r?\n|[*_`\[<(\#]{0,4}(?:FUNCTION|TOOL)))"
    r"|<\|start_header_id\|>\s{0,3}assistant\s{0,3}<\|end_header_id\|>|<\|im_start\|>\s{0,3}assistant(?=\s)"
    r"|<\|assistant\|>|<start_of_turn>model(?=\s)|(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>"
    r"|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>|<｜Assistant｜>",
    _FLAGS,
)
_OWN_ON_LINE = regex.compile(
    r"[ \t]*+:?+[ \t]*+(?:\r?+\n|[*_`\[<(\#]{0,4}(?:FUNCTION|TOOL)|(?<=\s)(?-i:[A-ZÀ-Ý0-9\"*_`¿¡]))", _FLAGS
)
# At the start of a line: another turn.
_TURN = regex.compile(
    r"\[(?:user|assistant|system|(?:tool|function)[ ]result[^\]\n]{0,120}|reminder|correction)\]|</?assistant>"
    rf"|{_OUR_TURN}(?:[ ][^{CLOSE}\n]{{1,160}})?{CLOSE}"
    r"|<\|start_header_id\|>[^<\n]{0,40}<\|end_header_id\|>|<\|im_start\|>[ \t]{0,3}\w{1,20}"
    r"|<\|start\|>(?:user|system)(?:<\|message\|>)?|<start_of_turn>(?:user|model)|<\|(?:user|system|assistant)\|>",
    _FLAGS,
)
_SETTING = regex.compile(r"[;\#]|[\w.\"\-]{1,60}[ \t]{0,20}=")
_NEXT_TURN = regex.compile(
    rf"\[(?:user|assistant|system|tool result)\b|{_OUR_TURN}\b|<s>"
    rf"|<\|(?:(?:im_start|start_header_id|user)\||start\|>(?:user|system|developer|tool|functions))|<start_of_turn>|{_END}",
    _FLAGS,
)
END_TOKEN = regex.compile(_END, _FLAGS)
AT_LINE_START = (_TURN, END_TOKEN)
END_TOKEN_IN_LINE = regex.compile(rf"(?<![`'\"\\(])(?:{_END})", _FLAGS)


# A label in words. In front of a dialogue it is a part of the text.
_SPOKEN = regex.compile(
    r"(?P<bold>\*\*)?+(?:Assistant|Assistente|Asistente)(?(bold)(?:\*\*:|:\*\*)|:)"
    r"(?:[ \t]++(?=[A-ZÀ-Ý0-9\"*_`¿¡])|[ \t]*+\r?+\n)\s*+(?=\S)"
)
_DIALOGUE = regex.compile(
    r"(?:^|\n)[*_ \t]{0,4}(?:user|human|usu[aá]rio|usuario|client[e]?|customer|humano|system|assistant|assistente|asistente)"
    r"[*_ \t]{0,4}:",
    _FLAGS,
)


_ANALYSIS = regex.compile(r"(?:<\|start\|>assistant)?<\|channel\|>analysis<\|message\|>", _FLAGS)
_NEXT_MESSAGE = regex.compile(r"<\|end\|>\s*+(?=<\|start\|>assistant)", _FLAGS)
_ANALYSIS_LIMIT = 20_000  # characters that are held


def _after_spoken(text: str, at: int, *, ended: bool) -> int | None:
    """Return the position after `Assistant:` at the start of a reply, else `at`."""
    found = _SPOKEN.match(text, at, at + _WINDOW, partial=True)
    if found is None or (found.partial and (ended or len(text) - at >= _WINDOW)):
        return at
    if found.partial:
        return None
    after = text[found.end() : found.end() + _WINDOW]
    if _DIALOGUE.search(after):
        return at
    lines = after.strip().split("\n")
    decided = ended or len(after) == _WINDOW or any(len(line) > _LINE for line in lines[1:])
    return found.end() if decided else None


def _after_analysis(text: str, at: int, *, ended: bool) -> int | None:
    """Return the position after Harmony's analysis at the start of a reply, else `at`.

    It is a thought, which users do not see, and ends where the next message begins.
    """
    found = _ANALYSIS.match(text, at, partial=True)
    if found is None or (found.partial and ended):
        return at
    if found.partial:
        return None
    end = _NEXT_MESSAGE.search(text, found.end(), found.end() + _ANALYSIS_LIMIT, partial=True)
    if end is not None and not end.partial:
        return end.end()
    return at if ended or len(text) - found.end() > _ANALYSIS_LIMIT else None


def own_label(text: str, at: int, *, ended: bool) -> int | None:
    """Return the position after a label at the start of a reply, `at` if there is none."""
    if text[at] == "<" and (after := _after_analysis(text, at, ended=ended)) != at:
        return after
    if text[at] in "A*":
        return _after_spoken(text, at, ended=ended)
    found = _OWN.match(text, at, at + _WINDOW, partial=True)
    if found is None or (found.partial and (ended or len(text) - at >= _WINDOW)):
        return at
    if found.partial:
        return None
    if found["same"] is None:
        return found.end()
    rest = _OWN_ON_LINE.match(text, found.end(), found.end() + _WINDOW, partial=True)
    if rest is None or (rest.partial and ended):
        return found.end() if ended and not text[found.end() :].strip() else at
    return None if rest.partial else found.end()


def starts_turn(text: str, at: int, *, ended: bool) -> bool | None:
    """Return whether another turn starts at `at`, the start of a line.

    `[user]` before a line of settings (`name = …`) is a section of a file such as .gitconfig.
    """
    found = _TURN.match(text, at, at + _WINDOW, partial=True)
    if found is None:
        return False
    if found.partial:
        return None if not ended and len(text) - at < _WINDOW else False
    after = text[found.end() : found.end() + _WINDOW]
    line, newline, following = after.partition("\n")
    if line.strip():
        return False
    following = following.lstrip()
    if not (newline and following) and len(after) < _WINDOW:
        return True if ended else None
    if not ended and "\n" not in following and len(following) < _LINE and len(after) < _WINDOW:
        return None
    return _SETTING.match(following) is None


def ends_turn(text: str, at: int, *, glued: bool, ended: bool) -> bool | None:
    """Return whether an end token at `at` ends the reply.

    It does at the end of the text and before another turn; `glued` to a word, at the end of a line,
    too, except `</s>`, which is also HTML.
    """
    found = END_TOKEN.match(text, at)
    if found is None:
        return False
    after = text[found.end() : found.end() + _WINDOW]
    following = after.lstrip()
    if not following and len(after) < _WINDOW and not ended:
        line_end = "\n" in after
        return True if glued and line_end and found[0] != "</s>" else None
    if not following or (glued and found[0] != "</s>" and "\n" in after[: len(after) - len(following)]):
        return True
    turn = _NEXT_TURN.match(following, partial=True)
    if turn is not None and turn.partial:
        return None if not ended and len(after) < _WINDOW else False
    return turn is not None
