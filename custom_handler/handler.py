"""The provider that LiteLLM calls: its four methods over one turn."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterator, Mapping
from typing import Any

from litellm import CustomLLM
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.types.utils import ModelResponse, ModelResponseStream

from . import replies
from .call import is_health_probe, read_turn
from .events import ReplyEvent
from .measures import Listeners
from .settings import Settings
from .stackspot.exchange import Steps
from .stackspot.transport import OpenedAnswer, Transport

PATIENCE = 10.0

_OPENS_FIRST = "stackspot_opens_first"


class StackspotLLM(CustomLLM):  # type: ignore[misc]
    """StackSpot AI agents as a LiteLLM provider; `settings` default to those of the environment and of `.env`."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings.load()
        self.listeners = Listeners()
        self._transport = Transport(self.settings, self.listeners)

    def completion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse:
        """Ask the agent, and return its whole answer."""
        with replies.translated(model):
            if is_health_probe(call):
                return self._probed(model)
            return replies.whole(self._transport.drive(self._steps(model, messages, call)), model)

    def streaming(self, model: str, messages: list[Any], **call: Any) -> Iterator[ModelResponseStream]:
        """Ask the agent, and yield its answer as it comes."""
        with replies.translated(model):
            return replies.chunks(self._transport.drive(self._steps(model, messages, call)), model)

    async def acompletion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse | CustomStreamWrapper:
        """Ask the agent, and return its whole answer, or its stream once that has begun (see `open_first`)."""
        with replies.translated(model):
            if is_health_probe(call):
                return await asyncio.to_thread(self._probed, model)
            answer = OpenedAnswer(self._transport.adrive(self._steps(model, messages, call)))
            if not _opens_first(call):
                return await replies.awhole(answer, model)
            await answer.wait(PATIENCE)
            return CustomStreamWrapper(
                completion_stream=replies.ChunkStream(answer, model),
                model=model,
                custom_llm_provider=replies.PROVIDER,
                logging_obj=call["logging_obj"],
            )

    def astreaming(self, model: str, messages: list[Any], **call: Any) -> replies.ChunkStream:
        """Ask the agent, and yield its answer as it comes; what is wrong with the request is raised at once."""
        with replies.translated(model):
            return replies.ChunkStream(self._transport.adrive(self._steps(model, messages, call)), model)

    def authenticate(self, timeout: float | None = None) -> None:
        """Get a token, or make sure that there is one; raises StackspotError, whose message says what to set.

        Raises TimeoutError where that takes more than `timeout` seconds.
        """
        try:
            self._transport.tokens.request().result(timeout)
        except concurrent.futures.TimeoutError:  # another class than TimeoutError up to Python 3.10
            raise TimeoutError(f"The identity service did not answer within {timeout} s.") from None

    def _probed(self, model: str) -> ModelResponse:
        """Answer a health probe without spending a call of the agent: a valid token is the proof."""
        self.authenticate()
        return replies.canned("ok", model)

    def _steps(self, model: str, messages: object, call: Mapping[str, Any]) -> Steps[ReplyEvent]:
        turn = read_turn(model, messages, call, self.settings)
        if (log := call.get("logging_obj")) is not None:  # LiteLLM's latency metrics start here
            log.pre_call(input=messages, api_key="", additional_args={"complete_input_dict": {}})
        return turn.steps(self.settings, self.listeners)


def open_first(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Change an async streaming call so that its stream is opened before LiteLLM takes it for one.

    LiteLLM begins to read a custom provider's stream when retries and fallbacks are past, and a client may have been told
    200. A call that a deployment hook turned into a whole one is awaited first, and may return a stream all the same.
    """
    setattr(kwargs["litellm_logging_obj"], _OPENS_FIRST, True)
    return {**kwargs, "stream": False}


def _opens_first(call: Mapping[str, Any]) -> bool:
    return getattr(call.get("logging_obj"), _OPENS_FIRST, False) is True
