"""Chooses where the calls of an account keep the state that they share."""

from __future__ import annotations

import time

from ...settings import Settings
from .conversations import ConversationStore, LocalConversationStore
from .window import LocalRequestWindow, RequestWindow


def open_state(settings: Settings) -> tuple[RequestWindow, ConversationStore]:
    """Return the request window and the conversation store, in Redis where that is configured."""
    if not settings.redis_url and not settings.redis_host:
        return LocalRequestWindow(time.monotonic), LocalConversationStore(settings.conversation_keep, time.monotonic)
    from .redis_conversations import RedisConversationStore  # noqa: PLC0415  loads redis only where it is used
    from .redis_window import RedisRequestWindow  # noqa: PLC0415

    return RedisRequestWindow(settings, time.monotonic), RedisConversationStore(settings, time.monotonic)
