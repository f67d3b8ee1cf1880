"""Let a stream of /v1/responses with MCP servers end with the agent's error, as any other one does.

LiteLLM's router asks a stream that fails for its `completed_response`. Streams that run MCP calls
have none, so the connection broke without an event. They report the error of a later answer
as an event that OpenAI's protocol does not have.
"""

from __future__ import annotations

from typing import Any, NoReturn


def complete_streams() -> None:
    """Change LiteLLM's class of these streams."""
    try:
        from litellm.responses.mcp.mcp_streaming_iterator import (  # noqa: PLC0415
            MCPEnhancedStreamingIterator as Stream,
        )
    except ImportError:  # without the package `mcp` there are no such streams
        return
    if not hasattr(Stream, "completed_response"):
        Stream.completed_response = None
    Stream._make_stream_error_event = _raise_error


def _raise_error(stream: Any) -> NoReturn:
    """Raise the error of the stream, of which the proxy makes the last event."""
    raise stream._stream_error
