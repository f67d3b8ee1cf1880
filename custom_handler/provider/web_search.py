"""Web searches for agents, by the search tools of LiteLLM's config.yaml (`search_tools`)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import openai

from ..errors import ConfigurationError
from ..events import Page, WebSearch
from ..instrumentation import Hook, WebSearched
from ..proxy_module import running_proxy
from ..request.context import current_request
from ..request.search_tool import SearchTool

MODEL_OPTION = "web_search"
"""In `model_info`: the name of the search tool for the model, or false."""

TIMEOUT = 15.0
MAX_QUERY = 1000  # characters
CODES = {400: "invalid_tool_input", 422: "invalid_tool_input", 429: "too_many_requests"}

logger = logging.getLogger(__name__)


class SearchServer:
    """The search tool of the configuration that a call uses."""

    def __init__(self, entry: Mapping[str, Any], call: Mapping[str, Any], tool: SearchTool, hook: Hook) -> None:
        self._name = str(entry.get("search_tool_name") or "")
        self._params = {name: value for name, value in _params(entry).items() if value is not None}
        self._metadata = _key_metadata(call)
        self._tool = tool
        self._hook = hook
        self._made: list[WebSearch] = []
        if (request := current_request()) is not None:
            if request.mcp is not None and request.web_searches:
                self._made = request.web_searches  # those before a call of an MCP tool
            request.web_searches = self._made

    async def search(self, call_id: str, query: str, seconds: float) -> WebSearch:
        """Return the search, failed or not, and note it on the current HTTP request."""
        started = time.monotonic()
        if not query:
            search = WebSearch(call_id, "", error="invalid_tool_input", reason="the call has no query")
        else:
            search = await self._outcome(call_id, query[:MAX_QUERY], min(TIMEOUT, max(seconds, 0.0)))
        self._hook(WebSearched(succeeded=not search.error, seconds=time.monotonic() - started))
        if search.error:  # without the query, which is the client's
            logger.warning("A web search with %s failed: %s", self._name, search.reason)
        self._made.append(search)
        return search

    async def _outcome(self, call_id: str, query: str, seconds: float) -> WebSearch:
        try:
            pages = await asyncio.wait_for(self._pages(query), seconds)
        except asyncio.TimeoutError:
            error, reason = "unavailable", f"the search server did not answer within {seconds:.0f} s"
        except Exception as failure:  # noqa: BLE001  the agent can answer without the pages
            given = str(getattr(failure, "status_code", None) or getattr(failure, "code", None))
            status = int(given) if given.isdigit() else None
            error, reason = CODES.get(status or 0, "unavailable"), _reason(failure, status)
        else:
            return WebSearch(call_id, query, self._wanted(pages))
        return WebSearch(call_id, query, error=error, reason=reason)

    async def _pages(self, query: str) -> Sequence[Page]:
        """Return the pages of LiteLLM's search; raises LiteLLM's errors, and those of the key."""
        import litellm  # noqa: PLC0415  `run` checks the settings without LiteLLM

        if (key := self._metadata.get("user_api_key_auth")) is not None:
            from litellm.proxy.auth.auth_checks import can_token_call_search_tool  # noqa: PLC0415  the proxy's

            await can_token_call_search_tool(search_tool_name=self._name, valid_token=key)
        optional: dict[str, Any] = {"max_results": self._tool.max_pages}
        if self._tool.allowed:
            optional["search_domain_filter"] = list(self._tool.allowed)
        metadata = {**self._metadata, "model_group": self._name}
        response = await litellm.asearch(query=query, litellm_metadata=metadata, **{**optional, **self._params})
        return [
            Page(one.url, one.title or one.url, one.snippet or "", one.date or one.last_updated or "")
            for one in response.results
            if one.url
        ]

    def _wanted(self, pages: Sequence[Page]) -> tuple[Page, ...]:
        """Return the pages of the domains that the client wants: few search servers choose them."""
        tool = self._tool
        wanted = [
            page
            for page in pages
            if (not tool.allowed or _is_of(page, tool.allowed)) and not _is_of(page, tool.blocked)
        ]
        return tuple(wanted[: tool.max_pages])


def search_tool(call: Mapping[str, Any]) -> SearchTool | None:
    """Return the web search of a call by LiteLLM; None where it asks for none, or can have none.

    Raises ConfigurationError for a model whose search tool config.yaml does not have.
    """
    params = call.get("litellm_params") or {}
    body = (params.get("proxy_server_request") or {}).get("body") or {}
    tool = SearchTool.of_request(call.get("optional_params") or {}, body)
    return tool if tool is not None and tool.max_searches and _entry(call) is not None else None


def search_server(call: Mapping[str, Any], tool: SearchTool, hook: Hook) -> SearchServer:
    """Return what makes the searches of a call for which `search_tool` has returned a tool."""
    return SearchServer(_entry(call) or {}, call, tool, hook)


def _entry(call: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the entry of `search_tools` for the model of a call, None without one."""
    info = (call.get("litellm_params") or {}).get("model_info") or {}
    router = getattr(running_proxy(), "llm_router", None)
    return chosen_entry(info, getattr(router, "search_tools", None) or ())


def chosen_entry(model_info: Mapping[str, Any], entries: Sequence[Any]) -> Mapping[str, Any] | None:
    """Return the entry of `search_tools` that a model uses, None without one.

    Raises ConfigurationError.

    >>> chosen_entry({"web_search": "web"}, [{"search_tool_name": "web"}])
    {'search_tool_name': 'web'}
    """
    chosen = model_info.get(MODEL_OPTION)
    if chosen is False:
        return None
    if chosen in (None, True):
        return next(iter(entries), None)
    found: Mapping[str, Any] | None = next(
        (entry for entry in entries if isinstance(entry, Mapping) and entry.get("search_tool_name") == chosen), None
    )
    if found is None:
        raise ConfigurationError(
            f"model_info.{MODEL_OPTION} is {str(chosen)[:80]!r} in config.yaml: "
            "give the search_tool_name of an entry of search_tools, or false."
        )
    return found


def _params(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    params = entry.get("litellm_params")
    return params if isinstance(params, Mapping) else {}


def _key_metadata(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return what LiteLLM noted of the API key: the search is logged, and charged, under it."""
    params = call.get("litellm_params") or {}
    both = [params.get(name) or {} for name in ("metadata", "litellm_metadata")]
    noted = next((one for one in both if "user_api_key_hash" in one), {})
    return {name: value for name, value in noted.items() if name.startswith("user_api_key")}


def _reason(failure: Exception, status: int | None) -> str:
    """Return why a search failed, without the failure's text: that may have addresses and keys."""
    if status is not None and not isinstance(failure, openai.OpenAIError):  # the proxy's own
        return f"the API key may not use it (HTTP {status})"
    if status is not None:
        return f"the search server refused it (HTTP {status})"
    return f"the search server cannot be used ({type(failure).__name__})"


def _is_of(page: Page, domains: Sequence[str]) -> bool:
    """Return whether a page is of one of these domains, or of one below.

    >>> _is_of(Page("https://docs.example.com/a", ""), ("example.com",))
    True
    """
    parts = urlsplit(page.url)
    host = (parts.hostname or "").lower()
    for domain in domains:
        name, _, path = domain.lower().removeprefix("https://").removeprefix("http://").partition("/")
        if (host == name or host.endswith(f".{name}")) and parts.path.lower().startswith(f"/{path}" if path else ""):
            return True
    return False
