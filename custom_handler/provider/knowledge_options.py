"""Reads the options of `model_info` on knowledge; raises ConfigurationError."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from ..stackspot.knowledge import ANNOTATIONS, FOOTER, NO_KNOWLEDGE, NONE, URL_FIELDS, Knowledge

MAX_SOURCE_IDS = 100
MAX_TITLE = 40
REQUEST_OPTIONS = ("knowledge", "knowledge_sources", "deep_search", "sources")

_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def knowledge_of(model_info: Mapping[str, Any]) -> Knowledge:
    """Return the knowledge options of a model; raises ConfigurationError.

    >>> knowledge_of({"knowledge_sources": ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]}).sources
    'annotations'
    """
    given = tuple(name for name in REQUEST_OPTIONS if model_info.get(name) is not None)
    ids, own = _source_ids(model_info.get("knowledge_sources")), _switch(model_info, "knowledge")
    url, title = _url(model_info.get("sources_url")), _title(model_info.get("sources_title"))
    if not given:
        return NO_KNOWLEDGE
    deep_search = _switch(model_info, "deep_search")
    shown = model_info.get("sources")
    if shown is None:
        shown = ANNOTATIONS if own or ids or deep_search else NONE
    if shown not in (ANNOTATIONS, FOOTER, NONE):
        raise _error("sources", shown, f"say {ANNOTATIONS}, {FOOTER} or {NONE}")
    return Knowledge(bool(own), ids, deep_search, shown, url, title, given)


def _switch(model_info: Mapping[str, Any], name: str) -> bool | None:
    value = model_info.get(name)
    if not isinstance(value, bool | None):
        raise _error(name, value, "say true or false")
    return value


def _source_ids(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_SOURCE_IDS:
        raise _error("knowledge_sources", value, f"give a list of at most {MAX_SOURCE_IDS} ids of knowledge sources")
    for one in value:
        if not isinstance(one, str) or not _ID.fullmatch(one):
            raise _error("knowledge_sources", one, "give ids, such as 01ARZ3NDEKTSV4RRFFQ69G5FAV")
    return tuple(dict.fromkeys(value))


def _url(value: object) -> str:
    if value is None:
        return ""
    known = isinstance(value, str) and all(name in URL_FIELDS for name in _PLACEHOLDER.findall(value))
    if not isinstance(value, str) or not known or not value.startswith(("https://", "http://")):
        fields = ", ".join(f"{{{name}}}" for name in URL_FIELDS)
        raise _error("sources_url", value, f"give an https address, with any of {fields} in it")
    return value


def _title(value: object) -> str:
    if value is None:
        return NO_KNOWLEDGE.title
    text = " ".join(value.split()).rstrip(": ") if isinstance(value, str) else ""
    if not text or len(text) > MAX_TITLE:
        raise _error("sources_title", value, f"give a word of at most {MAX_TITLE} characters, such as Fontes")
    return text


def _error(name: str, value: object, action: str) -> ConfigurationError:
    return ConfigurationError(f"model_info.{name} is {str(value)[:80]!r} in config.yaml: {action}.")
