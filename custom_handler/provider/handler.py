"""The provider that LiteLLM calls: its four methods over one turn."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from litellm import CustomLLM
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.types.utils import ModelResponse, ModelResponseStream

from ..errors import RequestError
from ..events import ReplyEvent
from ..instrumentation import Hooks
from ..settings import Settings
from ..stackspot.agent_call import Steps
from ..stackspot.client import StackspotClient
from . import model_response
from .litellm_call import client_name, is_health_probe, turn_from_call
from .started_stream import StartedStream

START_TIMEOUT = 10.0

logger = logging.getLogger(__name__)

_OPENS_FIRST = "stackspot_opens_first"


class StackspotLLM(CustomLLM):  # type: ignore[misc]
    """StackSpot AI agents as a LiteLLM provider; `settings` default to those of the environment and of `.env`."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings.load()
        self.listeners = Hooks()
        self._ignored = IgnoredParameters()
        # Settings that somebody gave stand in no file that could have changed.
        self._transport = StackspotClient(
            self.settings, self.listeners, None if settings else Settings.account_reloader()
        )

    def completion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse:
        """Ask the agent, and return its whole answer."""
        with model_response.litellm_errors(model):
            if is_health_probe(call):
                return self._probed(model)
            steps, form = self._begin(model, messages, call, whole=True)
            return self._transport.blocking.run(
                lambda: model_response.abuild_response(self._transport.adrive(steps), form)
            )

    def streaming(self, model: str, messages: list[Any], **call: Any) -> Iterator[ModelResponseStream]:
        """Ask the agent, and yield its answer as it comes."""
        with model_response.litellm_errors(model):
            steps, form = self._begin(model, messages, call)
            return model_response.stream_chunks(self._transport.drive(steps), form)

    async def acompletion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse | CustomStreamWrapper:
        """Ask the agent, and return its whole answer, or its stream once that has begun (see `await_stream_start`)."""
        with model_response.litellm_errors(model):
            if is_health_probe(call):
                return await asyncio.to_thread(self._probed, model)
            whole = not _opens_first(call)
            steps, form = self._begin(model, messages, call, whole=whole)
            answer = StartedStream(self._transport.adrive(steps))
            if whole:
                return await model_response.abuild_response(answer, form)
            await answer.wait(START_TIMEOUT)
            return CustomStreamWrapper(
                completion_stream=model_response.AsyncChunkStream(answer, form),
                model=model,
                custom_llm_provider=model_response.PROVIDER,
                logging_obj=call["logging_obj"],
            )

    def astreaming(self, model: str, messages: list[Any], **call: Any) -> model_response.AsyncChunkStream:
        """Ask the agent, and yield its answer as it comes; what is wrong with the request is raised at once."""
        with model_response.litellm_errors(model):
            steps, form = self._begin(model, messages, call)
            return model_response.AsyncChunkStream(StartedStream(self._transport.adrive(steps)), form)

    def embedding(self, model: str, *_: Any, **__: Any) -> NoReturn:
        """Refuse: an agent makes no embeddings."""
        error = RequestError("A StackSpot agent makes no embeddings: ask a model of another provider for them.")
        raise model_response.litellm_error(error, model)

    async def aembedding(self, model: str, *_: Any, **__: Any) -> NoReturn:
        """Refuse: an agent makes no embeddings."""
        self.embedding(model)

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
        return model_response.fixed_response("ok", model)

    def _begin(
        self, model: str, messages: object, call: Mapping[str, Any], *, whole: bool = False
    ) -> tuple[Steps[ReplyEvent], model_response.ResponseOptions]:
        turn = turn_from_call(model, messages, call, self.settings)
        if ignored := turn.request.parameters.ignored:
            self._ignored.note(client_name(call), ignored)
        if (log := call.get("logging_obj")) is not None:  # LiteLLM's latency metrics start here
            log.pre_call(input=messages, api_key="", additional_args={"complete_input_dict": {}})
        steps = turn.steps(self.settings, self.listeners, uploads=self._transport.uploads, whole=whole)
        return steps, model_response.ResponseOptions(model, turn.request.legacy)


class IgnoredParameters:
    """Tells the log, once a client, which of the parameters that it sends have no effect."""

    CLIENTS = 1000  # remembered; with more, the one first seen may be told again

    def __init__(self) -> None:
        self._told: dict[str, set[str]] = {}

    def note(self, client: str, names: tuple[str, ...]) -> None:
        """Tell of a client's parameters that it was not told of before."""
        new = [name for name in names if name not in self._told.get(client, ())]
        if new:
            self._told.setdefault(client, set()).update(new)
            if len(self._told) > self.CLIENTS:
                del self._told[next(iter(self._told))]
            logger.info("Parameters without effect from %s: %s", client, ", ".join(new))


def await_stream_start(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Change an async streaming call so that its stream is opened before LiteLLM takes it for one.

    LiteLLM begins to read a custom provider's stream when retries and fallbacks are past, and a client may have been told
    200. A call that a deployment hook turned into a whole one is awaited first, and may return a stream all the same.
    """
    setattr(kwargs["litellm_logging_obj"], _OPENS_FIRST, True)
    return {**kwargs, "stream": False}


def _opens_first(call: Mapping[str, Any]) -> bool:
    return getattr(call.get("logging_obj"), _OPENS_FIRST, False) is True
