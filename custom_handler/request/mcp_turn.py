"""The MCP servers of a request, whose tools LiteLLM lists and runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..events import Searched
from .mcp_outcome import Outcome


@dataclass(slots=True, eq=False)
class McpTurn:
    """One request that names MCP servers of the proxy.

    `labels` are the client's names of the servers, by the prefixes of their tools; `own` are the
    names of the client's functions. `waits`: calls are returned for approval, none is run.
    `arguments` are those of the calls that LiteLLM has run, by the ids of the calls; `approved` are
    the items of the calls that the client has approved in this request, by the ids it refers to;
    `failed` are the ids of the calls whose tools have failed; `searched` are the web searches made
    so far, which LiteLLM does not have in the messages behind a call. `has_run`: this attempt of
    the request has run a call.
    """

    labels: Mapping[str, str]
    own: frozenset[str] = frozenset()
    waits: bool = False
    arguments: dict[str, str] = field(default_factory=dict)
    approved: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    searched: list[Searched] = field(default_factory=list)
    has_run: bool = False

    @classmethod
    def of_tools(cls, tools: Sequence[Any]) -> McpTurn:
        """Return the turn of a request with these tools.

        >>> one = {"type": "mcp", "server_label": "c", "server_url": "litellm_proxy/mcp/clock"}
        >>> turn = McpTurn.of_tools([one, {"type": "function", "name": "save"}])
        >>> turn.waits, turn.label("clock-now"), turn.label("save")
        (True, 'c', None)
        """
        objects = [tool for tool in tools if isinstance(tool, Mapping)]
        servers = [tool for tool in objects if tool.get("type") == "mcp"]
        names = (name for tool in objects for name in _names(tool))
        return cls(
            {
                f"{str(one.get('server_url')).rpartition('/')[2]}-": str(one.get("server_label") or "")
                for one in servers
            },
            frozenset(names),
            any(one.get("require_approval") != "never" for one in servers),
        )

    def label(self, name: str) -> str | None:
        """Return the label of the server of a tool, None for a function of the client.

        A tool of an entry that names no single server has the label of the first one.
        """
        if name in self.own:
            return None
        found = (label for prefix, label in self.labels.items() if name.startswith(prefix))
        return next(found, next(iter(self.labels.values()), ""))

    def outcome(self, call_id: object, name: str, text: str) -> Outcome:
        """Return the outcome of a call that LiteLLM has run; `text` is what the agent reads of it.

        >>> turn = McpTurn({}, failed={"call_1"})
        >>> [turn.outcome(one, "a", "no").fields()["status"] for one in ("call_1", "call_2")]
        ['failed', 'completed']
        """
        is_unknown = text == f"Error executing tool: {name!r}"  # LiteLLM's, and it reports no failure
        return Outcome.failed(text) if is_unknown or call_id in self.failed else Outcome(text)

    def note_calls(self, items: Any) -> None:
        """Note the arguments of the calls in an input of /v1/responses."""
        for item in items if isinstance(items, list) else ():
            if isinstance(item, Mapping) and item.get("type") == "function_call":
                self.arguments[str(item.get("call_id"))] = str(item.get("arguments") or "{}")


def _names(tool: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names by which an agent calls a tool of the client, or those of a namespace."""
    function = tool.get("function")
    name = tool.get("name") or (function.get("name") if isinstance(function, Mapping) else None)
    if not isinstance(name, str):
        return
    yield name
    inner = tool.get("tools") if tool.get("type") == "namespace" else None
    for one in inner if isinstance(inner, list) else ():
        if isinstance(one, Mapping):
            yield f"{name}__{one.get('name')}"
