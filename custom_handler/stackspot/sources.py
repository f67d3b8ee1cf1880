"""Reads the knowledge sources of an answer from its frames (platform contract, section 1).

No public capture has a list that is not empty, so every shape is accepted: objects, whose keys are
all optional, strings, one value in the place of a list, null, and lists in any frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..events import Source

MAX_SOURCES = 50  # of an answer
MAX_NAME = 200  # characters
MAX_URL = 2_000

OBJECT_FIELDS = ("source", "cross_account_source")
ID_FIELD = "knowledge_source_id"
SOURCE_FIELDS = (*OBJECT_FIELDS, ID_FIELD)

_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_HTTP = re.compile(r"https?://[!-~]+", re.IGNORECASE)


class SourceCollector:
    """The union of the sources in all frames, without repetitions, in the order of arrival.

    A bare id counts only while no object describes it. An empty list erases nothing.

    >>> collector = SourceCollector()
    >>> collector.add({"source": [{"id": "01KA", "name": "Handbook"}]})
    >>> collector.add({"source": [], "knowledge_source_id": ["01KA"]})
    >>> [source.label for source in collector.sources()]
    ['Handbook']
    """

    def __init__(self) -> None:
        self._described: dict[Source, None] = {}
        self._bare: dict[Source, None] = {}
        self._seen: dict[str, object] = {}  # a fat frame repeats the lists of the one before

    def add(self, frame: Mapping[str, Any]) -> None:
        """Add the sources of one frame."""
        for name in SOURCE_FIELDS:
            value = frame.get(name)
            if not value or value == self._seen.get(name):
                continue
            self._seen[name] = value
            for item in value if isinstance(value, list) else [value]:
                self._add_item(item)

    def _add_item(self, item: object) -> None:
        if len(self._described) + len(self._bare) >= 2 * MAX_SOURCES:
            return
        if isinstance(item, Mapping):
            if (source := _described(item)).key:
                self._described[source] = None
        elif isinstance(item, str) and (text := _line(item)):
            self._bare[Source(id=text) if _ID.fullmatch(text) else Source(name=text)] = None

    def sources(self) -> tuple[Source, ...]:
        """Return what was found, at most MAX_SOURCES."""
        known = {value for one in self._described for value in (one.id, one.slug, one.name, one.document_id)}
        bare = (one for one in self._bare if one.key not in known)
        return tuple([*self._described, *bare][:MAX_SOURCES])


def source_ids(sources: Iterable[Source]) -> tuple[str, ...]:
    """Return what identifies each source in the telemetry; a name is content, and not repeated.

    >>> source_ids([Source(name="Handbook", id="01KA"), Source(name="Payroll")])
    ('01KA', 'unnamed')
    """
    return tuple(dict.fromkeys(map(_identifier, sources)))


def _identifier(source: Source) -> str:
    ids = (source.id, source.slug, source.document_id)
    return next((one for one in ids if _ID.fullmatch(one)), "unnamed")


def _described(item: Mapping[str, Any]) -> Source:
    name, slug, identifier, document = (_line(item.get(field)) for field in ("name", "slug", "id", "document_id"))
    return Source(name, slug, identifier, document, _address(item.get("url")))


def _address(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_URL and _HTTP.fullmatch(value) else ""


def _line(value: object) -> str:
    """Return a text as one line of at most MAX_NAME characters, without control characters."""
    if not isinstance(value, str):
        return ""
    text = " ".join(value[: 4 * MAX_NAME].split())
    return "".join(filter(str.isprintable, text))[:MAX_NAME]
