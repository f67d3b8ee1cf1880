"""Chooses where the calls of an account keep the state that they share."""

from __future__ import annotations

import time

from ...settings import Settings
from .answers import AnswerStore, LocalAnswerStore
from .conversations import ConversationStore, LocalConversationStore
from .window import LocalRequestWindow, RequestWindow


def open_state(settings: Settings) -> tuple[RequestWindow, ConversationStore]:
    """Return the request window and the conversation store, in Redis where that is configured."""
    keep, clock = settings.requests.conversation_keep, time.monotonic
    if not settings.redis.configured:
        return LocalRequestWindow(clock), LocalConversationStore(keep, clock)
    from .redis_conversations import RedisConversationStore  # noqa: PLC0415  loads redis only where it is used
    from .redis_window import RedisRequestWindow  # noqa: PLC0415

    redis, account = settings.redis, settings.account.name
    return RedisRequestWindow(redis, account, clock), RedisConversationStore(redis, account, keep, clock)


def open_quick_command_window(settings: Settings) -> RequestWindow:
    """Return the request window of an account's Quick Commands, in Redis if it is configured."""
    if not settings.redis.configured:
        return LocalRequestWindow(time.monotonic)
    from .redis_window import RedisRequestWindow  # noqa: PLC0415  loads redis only where it is used

    return RedisRequestWindow(settings.redis, f"{settings.account.name}/quick-commands", time.monotonic)


def open_answers(settings: Settings) -> AnswerStore:
    """Return the store of cached answers, in Redis where that is configured."""
    if not settings.redis.configured:
        return LocalAnswerStore(settings.requests.cache_bytes, time.monotonic)
    from .redis_answers import RedisAnswerStore  # noqa: PLC0415  loads redis only where it is used

    return RedisAnswerStore(settings.redis, settings.account.name, time.monotonic)
