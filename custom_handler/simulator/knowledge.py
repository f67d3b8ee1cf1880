"""The account's knowledge sources, and what a response says of those that were used.

No public capture has a response with sources: the fields have the names that clients read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .wire import RefusedError, error_body

if TYPE_CHECKING:
    from collections.abc import Mapping

SCORE = 0.83


def check_knowledge(body: Mapping[str, Any], known: Mapping[str, str]) -> None:
    """Raise RefusedError for an id that the account does not know."""
    for identifier in body.get("knowledge_source_ids", ()):
        if identifier not in known:
            details = f"Knowledge source {identifier} not found."
            raise RefusedError(400, error_body("KNOWLEDGE_SOURCE_NOT_FOUND", details))


def find_sources(body: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a response: the sources that were asked for, or all of the account's."""
    if not body.get("return_ks_in_response"):
        return {}
    own = known if body.get("stackspot_knowledge") else ()
    ids = list(dict.fromkeys([*body.get("knowledge_source_ids", ()), *own]))
    return {"knowledge_source_id": ids, "source": [_describe(one, known[one]) for one in ids]}


def _describe(identifier: str, name: str) -> dict[str, Any]:
    return {
        "type": "knowledge_source",
        "name": name,
        "slug": "-".join(name.lower().split()),
        "document_type": "knowledge_source",
        "document_score": SCORE,
        "document_id": f"01KD{identifier[4:]}",
        "id": identifier,
    }
