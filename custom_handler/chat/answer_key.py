"""What makes two requests ask for the same answer, and whether a model caches its answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, field

from ..data_class import data_class
from ..request.chat_request import ChatRequest
from ..settings import Settings
from ..stackspot.agent_call import AgentCall

FORMAT = 1
"""Changes with the encoding of answers, or where the same text is read in another way."""


@data_class
class CacheOptions:
    """How a request uses the cache of its model.

    An answer is valid for `seconds`. `owner` identifies the callers that share it, None for all of
    the account. `refresh` asks the agent and stores its answer; `bypass` does not use the cache.
    """

    seconds: float
    owner: str | None = field(default=None, repr=False)
    refresh: bool = False
    bypass: bool = False


def answer_key(call: AgentCall, request: ChatRequest, settings: Settings, options: CacheOptions) -> str:
    """Return a digest of all that the answer depends on.

    That is the request to the agent with the whole prompt, the account, who may see the answer, and
    how its text is read: tools, parameters, and the form of its sources.
    """
    url, body = call.request(settings)
    tools = [(tool.name, tool.parameters, tool.strict, tool.custom) for tool in request.tools]
    parameters = {**asdict(request.parameters), "ignored": None}
    parts = [
        *(FORMAT, settings.account.name, options.owner, options.seconds),
        *(url, body, asdict(call.knowledge)),
        *(tools, request.tool_choice, parameters),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()
