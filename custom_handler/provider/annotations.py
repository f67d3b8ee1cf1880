"""Sources as annotations of OpenAI's chat completions.

That protocol knows citations of URLs only, so a source without an address is cited by a URN;
`proxy.middleware.citations` converts these for the protocols that know more.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ..events import Source, Sources
from ..request.context import current_request

URN = "urn:stackspot:knowledge:"


def as_annotations(sources: Sources, position: int) -> list[Any]:
    """Return an annotation for each source, and note the sources on the current HTTP request.

    The agent does not say which part of its text a source is for. So each stands at `position`, the
    number of characters of the text: clients that replace what is cited replace nothing.

    >>> as_annotations(Sources((Source("Handbook", id="01KA"),)), 4)[0]["url_citation"]["url"]
    'urn:stackspot:knowledge:01KA'
    """
    if (request := current_request()) is not None:
        request.sources = sources.sources
    return [{"type": "url_citation", "url_citation": _citation(source, position)} for source in sources.sources]


def address(source: Source) -> str:
    """Return the URL of a source, or its URN."""
    return source.url or URN + quote(source.key, safe="")


def _citation(source: Source, position: int) -> dict[str, Any]:
    return {"start_index": position, "end_index": position, "url": address(source), "title": source.label}
