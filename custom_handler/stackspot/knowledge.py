"""What an agent is asked to search for a model, and how the sources of its answers are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from ..data_class import data_class
from ..events import Source

ANNOTATIONS, FOOTER, NONE = "annotations", "footer", "none"
URL_FIELDS = ("id", "slug", "name", "document_id")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@data_class
class Knowledge:
    """The options of one model, from its `model_info`; without any, no request changes.

    `own` asks for the knowledge of the account and of other accounts (`stackspot_knowledge`),
    `source_ids` for further knowledge sources, `deep_search` for a search by a second model (None:
    as the platform decides). `sources` is `annotations`, `footer` or `none`. `url` is the address
    of a source, with the placeholders of URL_FIELDS; `title` is the word before a footer.
    `settings` names the options that are set.
    """

    own: bool = False
    source_ids: tuple[str, ...] = ()
    deep_search: bool | None = None
    sources: str = NONE
    url: str = ""
    title: str = "Sources"
    settings: tuple[str, ...] = ()

    @property
    def is_used(self) -> bool:
        """Whether requests ask for knowledge or for the sources of the answer."""
        return self.own or bool(self.source_ids) or bool(self.deep_search) or self.sources != NONE

    def fields(self) -> dict[str, Any]:
        """Return the fields of a request (platform contract, section 1)."""
        fields: dict[str, Any] = {"stackspot_knowledge": self.own, "return_ks_in_response": self.is_used}
        if self.source_ids:
            fields["knowledge_source_ids"] = list(self.source_ids)
        if self.deep_search is not None:
            fields["deep_search_ks"] = self.deep_search
        return fields

    def located(self, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        """Return the sources with their addresses, where `url` gives one."""
        return tuple(replace(one, url=one.url or self._address(one)) for one in sources) if self.url else sources

    def _address(self, source: Source) -> str:
        """Return the address of a source, empty where a field of it is unknown."""
        values: Mapping[str, str] = {name: getattr(source, name) for name in URL_FIELDS}
        if not all(values.get(name) for name in _PLACEHOLDER.findall(self.url)):
            return ""
        return _PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), self.url)


NO_KNOWLEDGE = Knowledge()
