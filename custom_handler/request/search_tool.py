"""The web search that a client asks for, declared to the agent as a tool.

OpenAI's chat completions ask for it by `web_search_options`, or by a tool of type web_search;
LiteLLM's bridges convert the tools of /v1/responses and /v1/messages to the former.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..data_class import data_class

NAME = "web_search"
OTHER_NAME = "search_the_web"
"""The tool's name where the client has a function named `web_search`."""

MAX_SEARCHES = 8  # for one answer
PAGES = {"low": 5, "medium": 10, "high": 20}
"""The number of pages of a search, by OpenAI's `search_context_size`."""

_LITELLM = "litellm_web_search"  # LiteLLM's callback websearch_interception declares it
_DESCRIPTION = (
    "Searches the web for current information. Returns the titles, the addresses and excerpts of pages. "
    "Name the addresses of the pages that an answer is based on."
)
_SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What to search for"}},
    "required": ["query"],
}


@data_class
class SearchTool:
    """The tool `name`, and what the client says about the searches.

    At most `max_searches` are made, each for `max_pages`. Pages of `blocked` domains are left out,
    and where there are `allowed` ones, those of all others.
    """

    name: str = NAME
    max_searches: int = MAX_SEARCHES
    max_pages: int = PAGES["medium"]
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    @classmethod
    def of_request(cls, params: Mapping[str, Any], body: Mapping[str, Any]) -> SearchTool | None:
        """Return the tool of a request, None where its client asks for no web search.

        `params` are those of chat completions, `body` is what the client sent on its own route:
        LiteLLM's bridge of /v1/messages drops the fields of the tool.

        >>> options = {"search_context_size": "low"}
        >>> SearchTool.of_request({"web_search_options": options}, {}).max_pages
        5
        """
        options = params.get("web_search_options")
        declared = [tool for tool in _objects(params.get("tools")) if is_search(tool)]
        if not declared and not isinstance(options, Mapping):
            return None
        sent = next((tool for tool in _objects(body.get("tools")) if is_search(tool)), {})
        fields = {**(options if isinstance(options, Mapping) else {}), **sent}
        filters = fields.get("filters")
        domains = {**fields, **(filters if isinstance(filters, Mapping) else {})}
        uses, size = fields.get("max_uses"), fields.get("search_context_size")
        return cls(
            OTHER_NAME if _has_function(params, NAME) else NAME,
            max(0, min(uses, MAX_SEARCHES)) if isinstance(uses, int) else MAX_SEARCHES,
            PAGES.get(size if isinstance(size, str) else "", PAGES["medium"]),
            _texts(domains.get("allowed_domains")),
            _texts(domains.get("blocked_domains")),
        )

    def declared(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of chat completions with the tool as a function."""
        function = {"name": self.name, "description": _DESCRIPTION, "parameters": _SCHEMA}
        others = [tool for tool in params.get("tools") or () if not (isinstance(tool, Mapping) and is_search(tool))]
        changed = {**params, "tools": [*others, {"type": "function", "function": function}]}
        changed.pop("web_search_options", None)
        if "tool_choice" in params:
            changed["tool_choice"] = self._choice(params["tool_choice"])
        return changed

    def _choice(self, choice: Any) -> Any:
        """Return a `tool_choice` that names the function where it chose the client's tool."""
        if not isinstance(choice, Mapping):
            return choice
        if choice.get("type") == "allowed_tools" and isinstance(allowed := choice.get("allowed_tools"), Mapping):
            tools = [self._choice(tool) for tool in _objects(allowed.get("tools"))]
            return {**choice, "allowed_tools": {**allowed, "tools": tools}}
        return {"type": "function", "function": {"name": self.name}} if is_search(choice) else choice


def is_search(tool: Mapping[str, Any]) -> bool:
    """Return whether a tool is a web search of the vendor's server, or of LiteLLM's.

    >>> is_search({"type": "web_search_20250305", "name": "web_search"})
    True
    >>> is_search({"type": "function", "function": {"name": "web_search"}})
    False
    """
    kind, function = tool.get("type"), tool.get("function")
    if isinstance(function, Mapping) and function.get("name") == _LITELLM:
        return True
    return isinstance(kind, str) and (kind == NAME or kind.startswith(f"{NAME}_"))


def _has_function(params: Mapping[str, Any], name: str) -> bool:
    functions = [tool.get("function") for tool in _objects(params.get("tools"))]
    return any(isinstance(function, Mapping) and function.get("name") == name for function in functions)


def _objects(given: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(given, Sequence) and not isinstance(given, str):
        yield from (one for one in given if isinstance(one, Mapping))


def _texts(given: Any) -> tuple[str, ...]:
    return (
        tuple(one for one in given if isinstance(one, str))
        if isinstance(given, Sequence) and not isinstance(given, str)
        else ()
    )
