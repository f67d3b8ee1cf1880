"""The text of a message's content, with placeholders for what is not text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...request.calls import Message


def message_text(message: Message) -> str:
    """Return the text of a message, or its refusal."""
    text, refusal = text_of(message.get("content")), message.get("refusal")
    return text or (refusal if isinstance(refusal, str) else "")


def text_of(content: object) -> str:
    """Return the text of a message's content; a part that is not text becomes a placeholder."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Iterable) or isinstance(content, Mapping):
        return ""
    return "\n".join(_part(part) for part in content)


def is_text(content: object) -> bool:
    """Return whether the text of a content has all of it: no part becomes a placeholder."""
    if isinstance(content, str | Mapping) or not isinstance(content, Iterable):
        return True
    return all(_text(part) is not None for part in content)


def _part(part: object) -> str:
    if (text := _text(part)) is not None or not isinstance(part, Mapping):
        return text or ""
    file = part.get("file")
    name = file.get("filename") if isinstance(file, Mapping) else part.get("filename")
    kind = str(part.get("type", "part")).removesuffix("_url").removeprefix("input_")
    if kind == "image" and _is_other_data(part.get("image_url")):
        kind = "file"
    return f"[{kind}{f' {name}' if name else ''}: not shown, this model reads text only]"


def _text(part: object) -> str | None:
    if not isinstance(part, Mapping):
        return part if isinstance(part, str) else ""
    if isinstance(text := part.get("text", part.get("refusal")), str):
        return text
    if part.get("type") == "tool_reference" and isinstance(name := part.get("tool_name"), str):
        return f"[tool {name}: it can be called now]"
    return None


def _is_other_data(image: object) -> bool:
    """Return whether the data URI is no image; a tool result's document comes as one."""
    url = image.get("url") if isinstance(image, Mapping) else image
    return isinstance(url, str) and url.startswith(("data:application/", "data:text/"))
