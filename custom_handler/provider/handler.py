"""The LiteLLM provider: its four completion methods run one `Turn`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from litellm import CustomLLM
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.types.utils import ModelResponse, ModelResponseStream

from ..chat.answer_cache import AnswerCache, Batches
from ..chat.end_markers import EndMarkers
from ..chat.turn import Turn
from ..errors import RequestError
from ..instrumentation import Hooks
from ..request.context import counts_only, current_request
from ..settings import DEFAULT_ACCOUNT, Settings
from ..stackspot.accounts import Account, Accounts
from ..stackspot.agent_list import Agent
from ..stackspot.client import call_after_fork
from ..stackspot.reservation import ending_reservation
from ..stackspot.state.backend import open_answers
from ..stackspot.state.ledger import Quota
from . import PROVIDER, model_response
from .call_log import noting_hook
from .litellm_call import client_name, is_health_probe, model_info, turn_from_call
from .litellm_errors import litellm_error, litellm_errors
from .prompt_tokens import COUNT_TIMEOUT, PromptTokens, TurnMeter
from .request_price import RequestCharge
from .started_stream import StartedStream
from .web_search import search_server, search_tool

START_TIMEOUT = 10.0

logger = logging.getLogger(__name__)

_AWAITS_START = "stackspot_awaits_start"


class StackspotLLM(CustomLLM):  # type: ignore[misc]
    """StackSpot AI agents as a LiteLLM provider.

    `settings` default to those of the environment and of `.env`; only these are read again when the
    credentials are rejected. `hooks` receive the measurements.

    Examples:
        >>> provider = StackspotLLM(settings)
        >>> response = provider.completion("stackspot-chat", [{"role": "user", "content": "Hello"}])
        >>> response.choices[0].finish_reason
        'stop'
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings.load()
        self.hooks = Hooks()
        self._ignored = IgnoredParameters()
        self._tokens = PromptTokens()
        self._ends = EndMarkers()
        self.accounts = Accounts(self.settings, self.hooks, None if settings else Settings.account_reloader())
        self._answers = AnswerCache(open_answers(self.settings))
        call_after_fork(self._answers.reset_after_fork)

    def completion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse:
        """Return the whole answer; raises LiteLLM's errors, as all methods do."""
        with litellm_errors(model):
            account = self._account(call)
            if is_health_probe(call):  # a valid token uses no quota of the agent
                self.authenticate(account=account.name)
                return model_response.fixed_response("ok", model)
            batches, options, _ = self._batches(model, messages, call, account, whole=True)
            return account.client.loop_thread.run(lambda: model_response.abuild_response(batches, options))

    def streaming(self, model: str, messages: list[Any], **call: Any) -> Iterator[ModelResponseStream]:
        """Yield the chunks of the answer as they arrive."""
        with litellm_errors(model):
            account = self._account(call)
            batches, options, _ = self._batches(model, messages, call, account)
            return model_response.stream_chunks(account.client.loop_thread.iterate(batches), options)

    async def acompletion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse | CustomStreamWrapper:
        """Return the whole answer, or after `await_stream_start` its stream, once started."""
        with litellm_errors(model), ending_reservation():
            account = self._account(call)
            if is_health_probe(call):
                await asyncio.wrap_future(account.client.tokens.request())
                return model_response.fixed_response("ok", model)
            if counts_only():
                return await self._counted_response(model, messages, call, account)
            awaited = _awaited_arguments(call)
            batches, options, meter = self._batches(model, messages, call, account, whole=awaited is None)
            stream = StartedStream(batches)
            if awaited is None:
                response = await model_response.abuild_response(stream, options)
                await meter.report()
                return response
            await stream.wait(START_TIMEOUT)
            await meter.report()
            if call["litellm_params"].get("text_completion"):
                # LiteLLM tells the stream of a chat by its class; one of a text completion it would
                # log as a whole answer without content if its arguments did not name a stream.
                awaited["stream"] = True
            return CustomStreamWrapper(
                completion_stream=model_response.AsyncChunkStream(stream, options),
                model=model,
                custom_llm_provider=PROVIDER,
                logging_obj=call["logging_obj"],
            )

    def astreaming(self, model: str, messages: list[Any], **call: Any) -> model_response.AsyncChunkStream:
        """Return an async iterator of the chunks; an invalid request raises its error here."""
        with litellm_errors(model):
            batches, options, _ = self._batches(model, messages, call, self._account(call))
            return model_response.AsyncChunkStream(StartedStream(batches), options)

    def embedding(self, model: str, *_: Any, **__: Any) -> NoReturn:
        """Raise BadRequestError: agents return no embeddings."""
        error = RequestError("A StackSpot agent makes no embeddings: ask a model of another provider for them.")
        raise litellm_error(error, model)

    async def aembedding(self, model: str, *_: Any, **__: Any) -> NoReturn:
        """Raise BadRequestError: agents return no embeddings."""
        self.embedding(model)

    def quotas(self, *, quick_commands: bool = False) -> dict[str, Quota]:
        """Return the quota of each account that has credentials; may block on Redis.

        With `quick_commands`, the quotas of their Quick Commands are part of them.
        """
        return {account.name: account.client.quota(quick_commands=quick_commands) for account in self.accounts.usable}

    async def list_agents(self, visibility: str, account: str = DEFAULT_ACCOUNT) -> list[Agent]:
        """Return agents of an account; uses no quota. Raises StackspotError."""
        return await self.accounts.of({"account": account}).client.list_agents(visibility)

    def authenticate(self, timeout: float | None = None, account: str = DEFAULT_ACCOUNT) -> None:
        """Make sure that there is a valid token of an account.

        Raises StackspotError, and TimeoutError after `timeout` seconds.
        """
        try:
            self.accounts[account].client.tokens.request().result(timeout)
        except concurrent.futures.TimeoutError:  # another class than TimeoutError up to Python 3.10
            raise TimeoutError(f"The identity service did not answer within {timeout} s.") from None

    def _account(self, call: Mapping[str, Any]) -> Account:
        """Return the account that the operator chose for the model."""
        return self.accounts.of(model_info(call))

    async def _counted_response(
        self, model: str, messages: list[Any], call: Mapping[str, Any], account: Account
    ) -> ModelResponse:
        """Estimate the tokens of a prompt that is not sent, for the current request's context."""
        turn = turn_from_call(model, messages, call, account.settings)
        turn.meter = meter = self._tokens.meter(turn.choice.key(turn.agent_id), counts_only=True)
        turn.whole_prompt()
        await meter.report(COUNT_TIMEOUT)
        return model_response.fixed_response("", model)

    def _batches(
        self, model: str, messages: object, call: Mapping[str, Any], account: Account, *, whole: bool = False
    ) -> tuple[Batches, model_response.ResponseOptions, TurnMeter]:
        """Return the events of the answer, which is asked for with the first batch."""
        log = call.get("logging_obj")
        charge = RequestCharge.of_call(call)
        hook = noting_hook(account.hook, log, charge)
        turn = turn_from_call(model, messages, call, account.settings, hook, account.client.uploads)
        turn.meter = meter = self._tokens.meter(turn.choice.key(turn.agent_id))
        turn.ends = self._ends
        if ignored := turn.request.parameters.ignored:
            self._ignored.log(client_name(call), ignored)
        if log is not None:  # LiteLLM's latency metrics start here
            log.pre_call(input=messages, api_key="", additional_args={"complete_input_dict": {}})

        def ask(one: Turn) -> Batches:
            return self._answers.batches(one, account.client.arun, buffered=whole)

        custom = frozenset(tool.name for tool in turn.request.tools if tool.custom)
        deployment = model_info(call).get("id")
        options = model_response.ResponseOptions(model, turn.request.legacy, charge, custom, deployment)
        if (search := search_tool(call)) is None:
            return ask(turn), options, meter
        from ..chat.search_loop import searching_batches  # noqa: PLC0415  few requests declare a search

        request = current_request()
        searched = request.mcp.searched if request is not None and request.mcp is not None else None
        server = search_server(call, search, hook)
        return searching_batches(turn, search, ask, server.search, searched), options, meter


class IgnoredParameters:
    """Log each ignored parameter once for each client."""

    MAX_CLIENTS = 1000  # beyond it the oldest is dropped, and may be logged again

    def __init__(self) -> None:
        self._logged: dict[str, set[str]] = {}

    def log(self, client: str, names: tuple[str, ...]) -> None:
        """Log those parameters of a client that were not logged before."""
        new = [name for name in names if name not in self._logged.get(client, ())]
        if new:
            self._logged.setdefault(client, set()).update(new)
            if len(self._logged) > self.MAX_CLIENTS:
                del self._logged[next(iter(self._logged))]
            logger.info("Parameters without effect from %s: %s", client, ", ".join(new))


def await_stream_start(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an async streaming call, changed so that LiteLLM awaits its start.

    LiteLLM first reads a custom provider's stream after retries and fallbacks, and possibly after
    the client received a 200. A call without `stream` is awaited before, and may return one too.
    """
    changed = {**kwargs, "stream": False}
    setattr(kwargs["litellm_logging_obj"], _AWAITS_START, changed)
    return changed


def _awaited_arguments(call: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `await_stream_start` returned for this call, None for another call.

    The reference is dropped: the arguments contain the logging object, and large messages.
    """
    log = call.get("logging_obj")
    if (arguments := getattr(log, _AWAITS_START, None)) is not None:
        setattr(log, _AWAITS_START, {})
    return arguments
