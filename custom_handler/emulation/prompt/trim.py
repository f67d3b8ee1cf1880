"""Shortens a conversation: drops the oldest turns, then the middle of the largest results.

System messages, the last question and what the agent did last are never dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...errors import PromptTooLong
from ..labels import NOTE
from .transcript import TranscriptEntry

SEPARATOR_LENGTH = 2  # of two turns
SHORTEST_RESULT = 2_000

_LEFT_OUT = "{} older messages are left out here, because the conversation grew too long."
_CUT = "\n[… {} characters left out …]\n"
_NOTE_LENGTH = 100


def trim(entries: Sequence[TranscriptEntry], limit: int) -> list[TranscriptEntry]:
    """Return turns of at most `limit` characters; raises PromptTooLong if not possible."""
    trimmed = list(entries)
    question = max((at for at, entry in enumerate(trimmed) if entry.role == "user"), default=0)
    if _length(trimmed) > limit:
        trimmed = _drop_oldest(trimmed, 0, question, limit)
    if _length(trimmed) > limit:
        trimmed = _shorten_results(trimmed, limit)
    if trimmed and _length(trimmed) > limit:
        question = max((at for at, entry in enumerate(trimmed) if entry.role == "user"), default=-1)
        trimmed = _drop_oldest(trimmed, question + 1, _group_starts(trimmed)[-1], limit)
    if _length(trimmed) > limit:
        raise PromptTooLong(
            f"The conversation is too long: its system text, tools and last messages alone exceed the limit by "
            f"{_length(trimmed) - limit} characters. Shorten them, or raise STACKSPOT_MAX_PROMPT_CHARS."
        )
    return trimmed


def _length(entries: Sequence[TranscriptEntry]) -> int:
    return sum(len(entry.label) + len(entry.body) + 3 + SEPARATOR_LENGTH for entry in entries)


def _group_starts(entries: Sequence[TranscriptEntry]) -> list[int]:
    """Return the positions at which a cut separates no result from its call."""
    return [at for at, entry in enumerate(entries) if at == 0 or entry.role != "result"]


def _drop_oldest(entries: list[TranscriptEntry], start: int, end: int, limit: int) -> list[TranscriptEntry]:
    """Replace the oldest turns between start and end, as many as needed, by a note."""
    cuts = [at for at in _group_starts(entries) if start <= at <= end]
    excess = _length(entries) - limit + _NOTE_LENGTH
    at = start
    for cut in cuts[1:]:
        if excess <= 0:
            break
        excess -= _length([entry for entry in entries[at:cut] if entry.role != "system"])
        at = cut
    if at == start:
        return entries
    kept = [entry for entry in entries[start:at] if entry.role == "system"]
    note = TranscriptEntry("note", NOTE, _LEFT_OUT.format(at - start - len(kept)))
    return [*entries[:start], note, *kept, *entries[at:]]


def _shorten_results(entries: list[TranscriptEntry], limit: int) -> list[TranscriptEntry]:
    """Shorten the largest results to one length, the greatest with which the turns fit."""
    lengths = sorted((len(entry.body) for entry in entries if entry.role == "result"), reverse=True)
    excess = _length(entries) - limit
    longest = SHORTEST_RESULT
    for count, length in enumerate(lengths, start=1):
        next_length = lengths[count] if count < len(lengths) else 0
        removable = sum(lengths[:count]) - count * max(next_length, SHORTEST_RESULT)
        if removable >= excess or length <= SHORTEST_RESULT:
            longest = max(SHORTEST_RESULT, (sum(lengths[:count]) - excess) // count)
            break
    return [_cut_middle(entry, longest) if entry.role == "result" else entry for entry in entries]


def _cut_middle(entry: TranscriptEntry, length: int) -> TranscriptEntry:
    if len(entry.body) <= length:
        return entry
    note = _CUT.format(len(entry.body) - length)
    half = max(0, (length - len(note)) // 2)
    return replace(entry, body=entry.body[:half] + note + entry.body[len(entry.body) - half :])
