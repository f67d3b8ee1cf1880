"""Tells the lines that can start no call by their first word, as most lines of prose.

The patterns of calls are tried for each word once, not for each line: where none matches a word
with the character behind it, not even partially, none can match the line.
"""

from __future__ import annotations

import re
from functools import lru_cache

from . import dialects, odd_block, suspicion, syntax

# What is longer is hardly a word, and is not kept.
_FIRST_WORD = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ]{1,24}[ ,]")
_PATTERNS = (
    syntax.MARKER,
    syntax.STRAY_MARKER,
    syntax.OWN_END,
    syntax.FABRICATED_RESULT,
    *odd_block.HEADS,
    *dialects.WITH_WORDS,
    *suspicion.WITH_WORDS,
)


def is_plain(text: str, at: int, tools: syntax.DeclaredTools) -> bool:
    """Return whether the line at `at` starts with a word that starts no call, and names no tool.

    >>> tools = syntax.DeclaredTools({"read": {}})
    >>> [is_plain(f"{word} the file", 0, tools) for word in ("We", "Read", "Calling", "FUNCTION")]
    [True, False, False, False]
    """
    found = _FIRST_WORD.match(text, at)
    return found is not None and not _may_open(found[0]) and tools.resolve(found[0][:-1], unknown=False) is None


@lru_cache(maxsize=4096)
def _may_open(start: str) -> bool:
    line = f"\n{start}"
    return any(pattern.match(line, 1, partial=True) for pattern in _PATTERNS)
