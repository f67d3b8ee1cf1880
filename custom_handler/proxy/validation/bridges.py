"""What LiteLLM's bridges between the protocols would lose without a word, or refuse, before a call of ours reaches the provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import RequestError
from ...provider.model_response import litellm_error


def keep_allowed_tools(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Have `allowed_tools` pass LiteLLM, which refuses a `tool_choice` without a function; `request` reads it.

    /v1/responses has it in a form without nested objects, which LiteLLM's bridge hands on as it is.
    """
    choice = kwargs.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return kwargs
    if isinstance(tools := choice.get("tools"), list):
        named = [_with_function(tool) for tool in tools]
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": named}}
    return {**kwargs, "tool_choice": {"function": {}, **choice}}


def _with_function(tool: Any) -> Any:
    named = isinstance(tool, Mapping) and "name" in tool
    return {"type": "function", "function": {"name": tool["name"]}} if named else tool


def documents_as_text(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Have a call's documents and search results pass the bridge of /v1/messages as text; it would drop them.

    It keeps what comes as base64 or by an address, without its title: that becomes a text before it.
    """
    messages = kwargs.get("messages")
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return kwargs
    return {**kwargs, "messages": [_with_texts(message) for message in messages]}


def _with_texts(message: Any) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    return {**message, "content": list(_passing(content))} if isinstance(content, list) else message


def _passing(blocks: Sequence[Any]) -> Iterator[Any]:
    for block in blocks:
        match block:
            case {"type": "tool_result"}:
                yield _with_texts(block)
            case {"type": "document", "source": {"type": "text", "data": str(text)}}:
                yield _text(_head("document", block), text)
            case {"type": "document", "source": {"type": "content", "content": str(text)}}:
                yield _text(_head("document", block), text)
            case {"type": "document", "source": {"type": "content", "content": list(parts)}}:
                yield _text(_head("document", block))
                yield from _passing(parts)
            case {"type": "document", "source": {"type": "file"}}:
                yield _text(_head("document", block), "not shown: this proxy keeps no files")
            case {"type": "document", "title": str() as title} if title:
                yield _text(_head("document", block))
                yield block
            case {"type": "search_result", "content": list(parts)}:
                yield _text(_head("search result", block))
                yield from _passing(parts)
            case _:
                yield block


def _head(kind: str, block: Mapping[str, Any]) -> str:
    """Say what follows: its title, and what the client says of it or where it is from."""
    said = [
        f"[{kind}{f' {title}' if (title := block.get('title')) else ''}]",
        block.get("context"),
        block.get("source"),
    ]
    return "\n".join(line for line in said if isinstance(line, str) and line)


def _text(*paragraphs: str) -> dict[str, str]:
    return {"type": "text", "text": "\n".join(paragraphs)}


def require_known_response(kwargs: Mapping[str, Any]) -> None:
    """Refuse a call of /v1/responses that builds on an earlier one which the proxy cannot recall.

    Its bridge looks the earlier turns up in the database, and goes on without them where it has none.
    """
    body = (kwargs.get("proxy_server_request") or {}).get("body") or {}
    _refuse_lost_parts(body)
    if not body.get("previous_response_id"):
        return
    roles = [message.get("role") for message in kwargs.get("messages") or ()]
    if "assistant" not in roles[roles.index("user") if "user" in roles else len(roles) :]:
        error = RequestError(
            "previous_response_id: this proxy does not know that response, because it keeps none or has dropped it. "
            "Send the whole conversation in input.",
            param="previous_response_id",
        )
        raise litellm_error(error, str(kwargs.get("model")))


def _refuse_lost_parts(body: Mapping[str, Any]) -> None:
    """Refuse what a body of /v1/responses refers to and the proxy's bridge would leave out without a word."""
    items = body.get("input")
    referred = isinstance(items, list) and any(
        isinstance(item, Mapping) and item.get("type") == "item_reference" for item in items
    )
    name = "input" if referred else next((name for name in ("conversation", "prompt") if body.get(name)), "")
    if name and "input" in body:
        error = RequestError(
            f"{name}: this proxy keeps nothing to refer to. Send the whole conversation in input.", param=name
        )
        raise litellm_error(error, str(body.get("model")))
