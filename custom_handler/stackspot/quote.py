"""Quotes the platform's words in an error message, without anything that a client must not see."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator

from .private import Private

MAX_QUOTE = 300
REMOVED = "(removed)"
_MAX_READ = 2_000
_MAX_WORD = 100
_ECHO, _STEP = 20, 10  # characters; every run of _ECHO contains an aligned one of _STEP
_MAX_PROMPT = 50_000  # characters of the prompt's start, and of its end, that are searched

_SUFFIXES = (
    "com|net|org|edu|gov|io|ai|br|dev|app|cloud|tech|info|biz|online|site|local|localdomain|internal|intranet|"
    "lan|corp|home|svc|cluster|consul|test|example|invalid|eu|us|uk|de|fr|es|pt|it|nl|ar|cl|mx|jp|cn|in"
)
_SECRET = (
    r"(?<![\w-])[\w-]{0,40}?(?:api[_-]?key|secret|token|passw(?:or)?d|pwd|authorization|credential|signature|cookie)"
)
_IDENTIFIER = (
    r"(?<![\w-])(?:[\w-]{0,40}?(?:host(?:name)?|server|node|pod|container|instance|tenant|realm|account|workspace|"
    r"customer|subscription|organi[sz]ation|project)|[\w-]{1,40}?[_-](?:id|uuid))"
)
_VALUE = rf"[\"']?\s*[:=]\s*[\"']?(?!{re.escape(REMOVED)})"
_VALUE_END = r"[^\s\"',;&}]"
# Each is replaced whole, or its group only. No pattern may be worse than linear.
_PRIVATE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>]+",
        r"\barn:[^\s'\"]+",
        r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}",
        r"\b(?:bearer|basic)\s+(?P<private>(?=\S{0,80}?\d|\S{16})[\w.~+/=-]{6,})",
        rf"{_SECRET}{_VALUE}(?P<private>(?![\d.,]+(?!\w)){_VALUE_END}{{3,}})",
        rf"{_IDENTIFIER}{_VALUE}(?P<private>(?=\S{{0,80}}?[\d.-]){_VALUE_END}{{2,}})",
        r"(?<![\w/.])(?:/[\w.@%+-]+){2,}/?",
        r"\b[a-z]:\\[^\s'\"]+",
        r"\binput_value=.*?(?=, input_type=|\]|$)",
    )
)
_WORD = re.compile(r"(?<![\w.+/-])[\w.+/-]{8,}={0,2}(?::\d{2,5})?(?!\w)|(?<![\w.-])[\w.-]+(?::\d{2,5}\b)?", re.ASCII)
_PRIVATE_WORD = re.compile(
    rf"""
      \d{{1,3}}(?:\.\d{{1,3}}){{3}}(?:[:/]\d{{1,5}})?       # an address
    | (?:[\w-]+\.)+(?:{_SUFFIXES})(?::\d+)?                # a host
    | ip-\d+(?:-\d+){{3}}[\w.-]*(?::\d+)?
    | localhost(?::\d+)?
    | [a-z][\w-]*[.-][\w.-]*:\d{{2,5}}                    # a host's port
    | (?!\w*(?:limit|max|min|tokens|count|code|status|line|column):)[a-z]\w*:\d{{4,5}}
    | [\w-]+-[a-f0-9]{{8,10}}-[a-z0-9]{{5}}                 # a Kubernetes pod
    | eyJ[\w-]{{8,}}(?:\.[\w-]*){{0,4}}                     # a JWT
    | (?:sk|pk|rk|org|proj|req|msg|gh[opsu]|xox[abprs]|glpat|hf|AKIA|ASIA|AIza)[-_]?(?=[\w-]*\d)[\w-]{{8,}}
    | [0-9a-f]{{8}}-(?:[0-9a-f]{{4}}-){{3}}[0-9a-f]{{12}}      # a UUID
    | [0-7][0-9A-HJKMNP-TV-Z]{{25}}                          # a ULID
    | [0-9a-f]{{16,}}
    | (?=[^\d]*\d)(?=[^a-z]*[a-z])[A-Za-z0-9+/]{{20,}}={{0,2}}
    | \d{{9,}}
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_IPV6 = re.compile(r"(?<![\w:])[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*(?![\w:])", re.IGNORECASE)
# The proxy replaces messages that look like a traceback of its own (`middleware.error_bodies`).
_LIKE_INTERNALS = (
    (re.compile(r"validation (errors?) for ", re.IGNORECASE), r"validation \1 in "),
    (re.compile(r'File "'), "“"),
)
_QUOTED = re.compile(r"(?<!\w)(['\"`])([^'\"`]{4,})\1(?!\w)")
_MARKUP = re.compile(r"\s*<|.*?<(?:!doctype|html|head|body)\b", re.IGNORECASE | re.DOTALL)


def quote(text: str, private: Private | None = None) -> str:
    """Return at most MAX_QUOTE characters of a text in one line, empty for a page of markup.

    Secrets, tokens, addresses, host names, paths, identifiers and what repeats the prompt are
    replaced by REMOVED; words, codes and counts of tokens stay.

    >>> quote("The model at https://10.0.0.7:8080/v1 failed:\\nkey=sk-abc123def456")
    'The model at (removed) failed: key=(removed)'
    """
    if _MARKUP.match(text):
        return ""
    private = private or Private()
    shortened = len(text) > _MAX_READ
    text = " ".join(_printable(text[:_MAX_READ]).split())
    if shortened:
        text = text.rpartition(" ")[0]  # a secret that is cut in half would not be recognised
    for value in sorted(private.values, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", REMOVED, text, flags=re.IGNORECASE)
    for pattern in _PRIVATE:
        text = pattern.sub(_remove, text)
    text = _WORD.sub(_remove_word, text)
    text = _IPV6.sub(_remove_address, text)
    for pattern, replacement in _LIKE_INTERNALS:
        text = pattern.sub(replacement, text)
    text = re.sub(rf"{re.escape(REMOVED)}(?:[\s,/:]*{re.escape(REMOVED)})+", REMOVED, text)
    if private.prompt:
        text = _without_echo(text[: 2 * MAX_QUOTE], private.prompt)
    return text if len(text) <= MAX_QUOTE else f"{text[: MAX_QUOTE - 1].rstrip()}…"


def _printable(text: str) -> str:
    """Replace control, format and other invisible characters, and lone surrogates, by blanks."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(one) in _INVISIBLE else one for one in text)


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _remove(found: re.Match[str]) -> str:
    if not found.re.groupindex:
        return REMOVED
    start, end = (position - found.start() for position in found.span("private"))
    return f"{found[0][:start]}{REMOVED}{found[0][end:]}"


def _remove_word(found: re.Match[str]) -> str:
    word = found[0].rstrip(".")
    if len(word) > _MAX_WORD or _PRIVATE_WORD.fullmatch(word):
        return REMOVED + found[0][len(word) :]
    return found[0]


def _remove_address(found: re.Match[str]) -> str:
    try:
        ipaddress.ip_address(found[0])
    except ValueError:
        return found[0]
    return REMOVED


def _without_echo(text: str, prompt: str) -> str:
    """Remove what the text repeats of the prompt: runs of _ECHO characters, quoted phrases."""
    if len(prompt) > 2 * _MAX_PROMPT:
        prompt = f"{prompt[:_MAX_PROMPT]} {prompt[-_MAX_PROMPT:]}"
    prompt = " ".join(prompt.split())
    repeated = bytearray(len(text))
    for start in range(0, len(text) - _STEP + 1, _STEP):
        if text[start : start + _STEP] in prompt:  # most are not, so few of the following searches run
            for first in range(max(0, start - _ECHO + _STEP), min(start, len(text) - _ECHO) + 1):
                if text[first : first + _ECHO] in prompt:
                    repeated[first : first + _ECHO] = b"\1" * _ECHO
    for found in _QUOTED.finditer(text):
        if (len(found[2]) >= _STEP or " " in found[2]) and found[2] in prompt:
            repeated[found.start(2) : found.end(2)] = b"\1" * len(found[2])
    return "".join(_replace_marked(text, repeated))


def _replace_marked(text: str, marks: bytearray) -> Iterator[str]:
    start = 0
    while (first := marks.find(1, start)) >= 0:
        end = marks.find(0, first)
        yield text[start:first] + REMOVED
        start = len(text) if end < 0 else end
    yield text[start:]
