"""Where what an account's calls share is kept: in this process, or for many of them in Redis."""

from __future__ import annotations

import time

from ...settings import Settings
from ..agent_call import SaveConversation, TakeConversation
from .conversations import Conversations, LocalConversations
from .window import LocalRequestWindow, RequestWindow


def open_state(settings: Settings) -> tuple[RequestWindow, Conversations]:
    """Return the quota that is spent, and the conversations that the platform keeps."""
    keep, clock = settings.requests.conversation_keep, time.monotonic
    if not settings.redis.configured:
        return LocalRequestWindow(clock), LocalConversations(keep, clock)
    from .redis_conversations import SharedConversations  # noqa: PLC0415  only who shares something needs Redis
    from .redis_window import RedisRequestWindow  # noqa: PLC0415

    redis, account = settings.redis, settings.account.name
    return RedisRequestWindow(redis, account, clock), SharedConversations(redis, account, keep, clock)


def looked_up(conversations: Conversations, step: TakeConversation | SaveConversation) -> str | None:
    """Carry out a step that asks for a conversation, or has one remembered."""
    if isinstance(step, TakeConversation):
        return conversations.take(step.fingerprint)
    conversations.keep(step.fingerprint, step.conversation_id)
    return None
