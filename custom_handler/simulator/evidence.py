"""Finds in a question what could be a value: quotations, numbers, dates, addresses, sums and names."""

from __future__ import annotations

import re

from .language import ALL_STOP_WORDS, fold

QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|«([^»\n]+)»|`([^`\n]+)`|(?<!\w)'([^'\n]+)'(?!\w)")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
URL = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;?!)]")
DAY = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b|\b(\d\d?)/(\d\d?)/(\d{4})\b")
NUMBER = re.compile(r"(?<![\w.,])-?\d+(?:[.,]\d+)?(?!\w)")
SUM = re.compile(r"[\d(][\d\s.,()]*(?:[-+*/×÷^%]\s*[-\d(][\d\s.,()]*)+")
CAPITAL = r"[^\W\d_a-zß-öø-ÿ][\w’'-]*"
NAME = re.compile(rf"{CAPITAL}(?:\s+(?:(?:d[aeo]s?|del|de la|of|upon|von|van)\s+)?{CAPITAL})*")
SENTENCE_START = re.compile(r"(?:^|[.?!:;\n])\s*[¿¡]?$")
TAIL = re.compile(r"\b(?:em|no|na|nos|nas|in|en|at|para|for|sobre|about|de|do|da|of)\s+([^.?!,;\n]+)$")
# How a question begins before it says what it is about.
LEAD = re.compile(
    r"^(?:por favor|please|qual|quais|quanto|o que|que|quem|what|which|who|cual|cuales|quien|me diga|diga-me|"
    r"dime|tell me|explique|explica|explain|descreva|describe|fale|conte|talk|about|sobre|e|eh|sao|is|are|es|"
    r"son)\b\s*"
)
TOPIC_WORDS = 12


class Evidence:
    """The values found in `text`, kind by kind, in its order; each can be taken once."""

    def __init__(self, text: str) -> None:
        self.emails = EMAIL.findall(text)
        self.urls = URL.findall(text)
        self.dates = [_iso(found) for found in DAY.finditer(text)]
        self.sums = [found[0].strip(" .,") for found in SUM.finditer(DAY.sub(" ", text))]
        self.quoted = ["".join(groups) for groups in QUOTED.findall(text)]
        plain = QUOTED.sub(" . ", URL.sub(" ", EMAIL.sub(" ", DAY.sub(" ", text))))
        self.numbers = NUMBER.findall(plain)
        self.names = find_names(plain)

    def take(self, kind: str) -> str | None:
        """The next value of that kind, or None."""
        values: list[str] = getattr(self, kind)
        return values.pop(0) if values else None

    def forget(self, value: str) -> None:
        """Leave out the names that are `value`, however written."""
        self.names = [name for name in self.names if fold(name) != fold(value)]


def find_names(text: str) -> list[str]:
    """The capitalised phrases of `text`; the first word of a sentence counts only where there is no other."""
    found = [(_starts_sentence(text, match.start()), match[0]) for match in NAME.finditer(text)]
    inside = [name for first, name in found if not first and len(name) > 1]
    if inside:
        return list(dict.fromkeys(inside))
    firsts = [name for first, name in found if first and fold(name.split()[0]) not in ALL_STOP_WORDS]
    tail = TAIL.search(text.strip().rstrip("?.! "))
    return [tail[1].strip()] if tail else [name for name in firsts if " " in name]


def topic_of(question: str) -> str:
    """What `question` is about, in its own words without the way it asks; empty when it says nothing."""
    text = next((line.strip() for line in question.split("\n") if line.strip()), "").strip("¿¡?!. ")
    while lead := LEAD.match(fold(text)):
        text = text[lead.end() :]
    words = text.split()
    return " ".join(words[:TOPIC_WORDS]) + ("…" if len(words) > TOPIC_WORDS else "")


def _starts_sentence(text: str, place: int) -> bool:
    return SENTENCE_START.search(text[:place]) is not None


def _iso(found: re.Match[str]) -> str:
    year, month, day, *reverse = found.groups()
    if year is None:
        day, month, year = reverse
    return f"{year}-{int(month):02}-{int(day):02}"
