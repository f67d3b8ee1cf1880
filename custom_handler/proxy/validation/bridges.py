"""Preserve, or reject, the fields that LiteLLM's bridges between the protocols would drop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from litellm.responses.mcp.tool_precheck import may_name_litellm_mcp_gateway

from ...errors import RequestError
from ...provider.litellm_errors import litellm_error
from ...request.context import current_request
from ...request.search_tool import is_search


def runs_mcp_tools(kwargs: Mapping[str, Any]) -> bool:
    """Return whether LiteLLM replaces this chat completion by others, and runs MCP tools between.

    It opens those itself, and has to know that the client expects a stream.
    """
    return not kwargs.get("_skip_mcp_handler") and may_name_litellm_mcp_gateway(kwargs.get("tools"))


def keep_tool_choice(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Add an empty function to a `tool_choice` that LiteLLM rejects without one.

    That is one of type `allowed_tools`, and one of a web search. The former has no nested objects
    on /v1/responses; LiteLLM's bridge passes it on unchanged.
    """
    choice = kwargs.get("tool_choice")
    if not isinstance(choice, Mapping) or not (choice.get("type") == "allowed_tools" or is_search(choice)):
        return kwargs
    if choice.get("type") != "allowed_tools":
        return {**kwargs, "tool_choice": {"function": {}, **choice}}
    if isinstance(tools := choice.get("tools"), list):
        nested = [_with_function(tool) for tool in tools]
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": nested}}
    return {**kwargs, "tool_choice": {"function": {}, **choice}}


def _with_function(tool: Any) -> Any:
    is_flat = isinstance(tool, Mapping) and "name" in tool
    return {"type": "function", "function": {"name": tool["name"]}} if is_flat else tool


def search_as_option(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call of /v1/messages that asks for a web search as chat completions do.

    LiteLLM's bridge does the same, but its callback `websearch_interception`, if it is on for
    agents, would see the tool before, and answer with the pages instead of the agent.
    """
    tools = kwargs.get("tools")
    if not isinstance(tools, list) or not any(isinstance(tool, Mapping) and is_search(tool) for tool in tools):
        return kwargs
    others = [tool for tool in tools if not (isinstance(tool, Mapping) and is_search(tool))]
    return {**kwargs, "tools": others or None, "web_search_options": {}}


def without_placeholder(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call of /v1/messages without the tool that Claude Code declares for Anthropic only.

    It must never be called: it is there because a request cannot have deferred tools alone.
    """
    tools = kwargs.get("tools")
    if not isinstance(tools, list) or not any(map(_is_placeholder, tools)):
        return kwargs
    return {**kwargs, "tools": [tool for tool in tools if not _is_placeholder(tool)] or None}


def _is_placeholder(tool: Any) -> bool:
    is_deferred = isinstance(tool, Mapping) and tool.get("defer_loading") is True
    return is_deferred and tool.get("name") == "DeferredToolPlaceholder"


def documents_as_text(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call of /v1/messages with documents and search results as text blocks.

    LiteLLM's bridge would drop them. It keeps documents in base64 or by URL without their titles,
    which become text blocks before them.
    """
    messages = kwargs.get("messages")
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return kwargs
    return {**kwargs, "messages": [_with_text_blocks(message) for message in messages]}


def _with_text_blocks(message: Any) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    return {**message, "content": list(_converted(content))} if isinstance(content, list) else message


def _converted(blocks: Sequence[Any]) -> Iterator[Any]:
    for block in blocks:
        match block:
            case {"type": "tool_result"}:
                yield _with_text_blocks(block)
            case {"type": "document", "source": {"type": "text", "data": str(text)}}:
                yield _text(_heading("document", block), text)
            case {"type": "document", "source": {"type": "content", "content": str(text)}}:
                yield _text(_heading("document", block), text)
            case {"type": "document", "source": {"type": "content", "content": list(parts)}}:
                yield _text(_heading("document", block))
                yield from _converted(parts)
            case {"type": "document", "source": {"type": "file"}}:
                yield _text(_heading("document", block), "not shown: this proxy keeps no files")
            case {"type": "document", "title": str() as title} if title:
                yield _text(_heading("document", block))
                yield block
            case {"type": "search_result", "content": list(parts)}:
                yield _text(_heading("search result", block))
                yield from _converted(parts)
            case _:
                yield block


def _heading(kind: str, block: Mapping[str, Any]) -> str:
    """Return the title of a block, and its context or source."""
    lines = [
        f"[{kind}{f' {title}' if (title := block.get('title')) else ''}]",
        block.get("context"),
        block.get("source"),
    ]
    return "\n".join(line for line in lines if isinstance(line, str) and line)


def _text(*paragraphs: str) -> dict[str, str]:
    return {"type": "text", "text": "\n".join(paragraphs)}


def require_text_prompt(kwargs: Mapping[str, Any]) -> None:
    """Raise the proxy's error (400) for a call of /v1/completions without one prompt of text alone.

    LiteLLM passes tokens to a few providers, and fails for all others, and for `messages`. It makes
    one conversation of several prompts, each of which should have a choice of its own.
    """
    prompt = kwargs.get("prompt")
    texts = prompt if isinstance(prompt, list) else [prompt]
    if not all(isinstance(text, str) for text in texts):
        error = RequestError("prompt must be a string or a list of strings.", param="prompt")
    elif len(texts) != 1:
        error = RequestError(
            f"prompt has {len(texts)} texts: send each in a request of its own, because a StackSpot agent gives one "
            "answer to a question.",
            param="prompt",
        )
    elif not texts[0]:
        error = RequestError("prompt is empty.", param="prompt")
    elif kwargs.get("messages") is not None:
        error = RequestError("messages: send a prompt here, or messages to /v1/chat/completions.", param="messages")
    else:
        return
    raise litellm_error(error, str(kwargs.get("model")))


def require_known_response(kwargs: Mapping[str, Any]) -> None:
    """Raise the proxy's error (400) for a `previous_response_id` that the proxy does not have.

    LiteLLM's bridge reads the earlier turns from the database, and ignores that they are missing.
    """
    body = (kwargs.get("proxy_server_request") or {}).get("body") or {}
    request = current_request()
    is_resolved = request is not None and request.response_turn is not None
    _reject_references(body, has_items=is_resolved)
    if is_resolved or not body.get("previous_response_id"):
        return
    roles = [message.get("role") for message in kwargs.get("messages") or ()]
    if "assistant" not in roles[roles.index("user") if "user" in roles else len(roles) :]:
        error = RequestError(
            "previous_response_id: this proxy does not know that response, because it keeps none or has dropped it. "
            "Send the whole conversation in input.",
            param="previous_response_id",
        )
        raise litellm_error(error, str(kwargs.get("model")))


def _reject_references(body: Mapping[str, Any], *, has_items: bool) -> None:
    """Raise the proxy's error for references to stored objects, which LiteLLM's bridge ignores.

    `has_items`: the items that the input refers to are in the call.
    """
    items = body.get("input")
    has_reference = (
        not has_items
        and isinstance(items, list)
        and any(isinstance(item, Mapping) and item.get("type") == "item_reference" for item in items)
    )
    name = "input" if has_reference else next((name for name in ("conversation", "prompt") if body.get(name)), "")
    if name and "input" in body:
        error = RequestError(
            f"{name}: this proxy keeps nothing to refer to. Send the whole conversation in input.", param=name
        )
        raise litellm_error(error, str(body.get("model")))
