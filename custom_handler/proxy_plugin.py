"""The LiteLLM callback that adds validation, routes, the wrapper and telemetry to the proxy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from litellm.types.utils import CallTypes

from .api import kept_responses, models
from .api.status_page import StatusRoute
from .checks.models import check_at_start
from .env_file import dotenv_files, load
from .history.history import ResponseHistory
from .history.store import open_responses
from .provider import PROVIDER
from .provider.call_log import forget_attempt
from .provider.handler import StackspotLLM, await_stream_start
from .provider.quick_command_options import PREFIX as QUICK_COMMAND
from .proxy.account_choice import admitting_deployments, reserve_account
from .proxy.agent_refresh import AgentRefresh
from .proxy.budgets import KeyBudgets, open_budgets
from .proxy.config import callbacks, deployments
from .proxy.deployments import deployment_provider
from .proxy.error_links import open_error_links
from .proxy.garbage_collection import free_streams_at_their_end, freeze_startup_objects, remove_stream_finalizers
from .proxy.gemini_bridge import from_adapter, to_adapter
from .proxy.included_routers import build_when_asked
from .proxy.kept_responses import continue_response, note_provider, refuse_compaction
from .proxy.key_allowance import exhausted_allowance, key_allowance
from .proxy.keys_file import require_allowed_models
from .proxy.lifecycle import at_shutdown, at_startup, before_master_key, before_router
from .proxy.logs import show_log
from .proxy.loop_executor import prepare_on_the_loop
from .proxy.master_key import ensure_master_key
from .proxy.mcp_allowed_tools import limit_tools
from .proxy.mcp_approvals import note_servers, with_approved_calls
from .proxy.mcp_failures import note_failure, note_result
from .proxy.mcp_own_tools import leave_own_calls
from .proxy.mcp_streams import complete_streams
from .proxy.memory import MemoryRelease
from .proxy.middleware.wrap import Observer, wrap
from .proxy.model_defaults import model_defaults
from .proxy.model_list import ModelList, written_config
from .proxy.model_paths import ModelRoutes
from .proxy.prefixed_names import add_prefixed_names
from .proxy.public_documents import encode_on_a_thread
from .proxy.shortcuts import keep_results
from .proxy.token_count import count_prompts, require_ours
from .proxy.validation.bridges import (
    documents_as_text,
    keep_tool_choice,
    require_known_response,
    require_text_prompt,
    runs_mcp_tools,
    search_as_option,
    without_placeholder,
)
from .proxy.validation.content_limits import limit_content
from .proxy.validation.field_types import body_of_call, validate_field_types
from .proxy.validation.mcp_servers import choice_of_server, reject_external_servers, without_end_slashes
from .proxy.validation.received import is_validated
from .proxy.validation.refused import report_checked_fields
from .proxy.validation.reserved_fields import reject_reserved_fields, sent_body
from .proxy.validation.responses_input import readable_input, without_file_search
from .proxy.warm_up import warm_up
from .proxy_module import running_proxy
from .request.context import add_response_header, current_request, report_allowance
from .settings import Settings
from .stackspot.reservation import end_reservation
from .stackspot.state.ledger import Quota
from .telemetry import TelemetryCallback
from .telemetry.call_log import CallLog

_ERROR_HEADERS = {"retry-after", "x-should-retry"}
_MCP_CALLS = frozenset({CallTypes.call_mcp_tool.value, CallTypes.list_mcp_tools.value})
_GEMINI_CALLS = frozenset({CallTypes.agenerate_content, CallTypes.agenerate_content_stream})


class Plugin(TelemetryCallback):
    """`custom_handler.plugin`, which config.yaml names under `callbacks`."""

    def __init__(self, settings: Settings, provider: StackspotLLM | None = None) -> None:
        super().__init__(settings.telemetry)
        self._models = ModelList(())
        self._budgets: KeyBudgets | None = None
        self._history: ResponseHistory | None = None
        self._provider = provider
        self._uploads = settings.uploads.enabled
        for file in dotenv_files():  # LiteLLM loads `.env` only from a parent of its own installation
            load(file)
        show_log(settings.proxy.log_level)
        if (proxy := running_proxy()) is not None:
            self._install(proxy, settings, provider or StackspotLLM(settings))

    def _install(self, proxy: Any, settings: Settings, provider: StackspotLLM) -> None:
        """Extend a proxy that is starting (its module)."""
        folder = Path(getattr(proxy, "user_config_file_path", None) or "config.yaml").absolute().parent
        config = written_config(proxy)
        configured = deployments(config)
        self._models = ModelList(
            config.get("model_list") or (),
            (config.get("router_settings") or {}).get("model_group_alias"),
            model_defaults(settings),
        )
        key = (config.get("general_settings") or {}).get("master_key")
        before_master_key(proxy, lambda general_settings: ensure_master_key(general_settings, folder, key))
        before_router(proxy, self._models.prepare)
        self._budgets = open_budgets(settings, configured, provider.hooks)
        if settings.responses.keep:
            self._history = ResponseHistory(open_responses(settings), settings.responses.max_bytes, provider.hooks)
            at_shutdown(proxy, self._history.aclose)
        quick_commands = any(model.model.startswith(QUICK_COMMAND) for model in configured)
        quotas = functools.partial(provider.quotas, quick_commands=quick_commands)
        # Before the first token is requested:
        _extend(
            proxy,
            settings,
            provider,
            self.call_log,
            self._budgets,
            history=self._history,
            quotas=quotas,
            find_unlisted=self._models.unlisted_entry,
        )
        check_at_start(settings.proxy.startup_check, config, settings, provider.authenticate)
        remove_stream_finalizers()
        free_streams_at_their_end()
        if settings.proxy.shortcuts:
            keep_results()
            build_when_asked()
            at_startup(proxy, lambda: proxy.app.router.routes.insert(0, ModelRoutes(proxy.app.router)))
            at_startup(proxy, prepare_on_the_loop)
        report_checked_fields(proxy.proxy_logging_obj)
        count_prompts(proxy, self._history)
        encode_on_a_thread(proxy.app)
        at_startup(proxy, lambda: warm_up(proxy.app.router.routes))
        at_startup(proxy, leave_own_calls)
        at_startup(proxy, limit_tools)
        at_startup(proxy, complete_streams)
        at_startup(proxy, freeze_startup_objects)
        at_startup(proxy, lambda: MemoryRelease().start())
        if self._budgets is not None:
            at_startup(proxy, self._budgets.start)
            at_shutdown(proxy, self._budgets.aclose)  # after the next, which waits for the costs
        refresh = AgentRefresh(
            self._models.agents(),
            provider.list_agents,
            lambda: proxy.llm_router,
            settings.proxy.agents_refresh,
            provider.hooks,
        )
        at_startup(proxy, refresh.start)
        at_startup(proxy, lambda: add_prefixed_names(getattr(proxy, "llm_router", None)))
        at_shutdown(proxy, refresh.aclose)
        at_shutdown(proxy, self.aclose)
        self.start_run(configured)

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,
        cache: Any,  # noqa: ARG002  LiteLLM passes it by name
        data: dict[str, Any],
        call_type: str,
    ) -> None:
        """Validate a request; raises the proxy's errors.

        LiteLLM calls this once per request, before it chooses a deployment and before its bridges;
        and for each call of an MCP tool, with a model that the client did not name.
        """
        if call_type in _MCP_CALLS:
            return
        sent, shape = sent_body(data), body_of_call(call_type)
        validated = is_validated(sent, shape)
        if not validated:
            reject_reserved_fields(sent)
            limit_content(sent)
        self._models.require_enabled(model := data.get("model"))
        asked, router = {**sent, "model": model}, getattr(running_proxy(), "llm_router", None)
        await require_allowed_models(user_api_key_dict, asked, router)
        self._models.require_listed(asked, router)
        if (request := current_request()) is not None and isinstance(model, str):
            request.model = model
        if shape is not None and not validated:
            validate_field_types(sent, shape)
        if self._budgets is not None:
            await self._budgets.admit(user_api_key_dict.api_key, model, call_type)
        if call_type == CallTypes.acompact_responses:
            refuse_compaction(model, router)
        if self._history is not None and call_type == CallTypes.aresponses:
            await continue_response(self._history, data, sent, user_api_key_dict, router)

    async def async_log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Record a call, and charge its key."""
        await super().async_log_success_event(kwargs)
        if self._budgets is not None:
            self._budgets.charge(kwargs.get("standard_logging_object"))

    async def async_filter_deployments(
        self,
        model: str,  # noqa: ARG002  LiteLLM passes it by name
        healthy_deployments: list[dict[str, Any]],
        messages: object,  # noqa: ARG002
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: object = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Return the deployments among which LiteLLM's load balancing chooses."""
        if self._provider is None:
            return healthy_deployments
        return admitting_deployments(self._provider.accounts, healthy_deployments, request_kwargs or {})

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: CallTypes | None
    ) -> dict[str, Any] | None:
        """Return the changed arguments of a StackSpot call, None for other providers.

        LiteLLM calls this once per attempt. It must not cache the responses of agents, because its
        cache ignores callers and conversations.
        """
        kwargs = from_adapter(kwargs)
        forget_attempt(kwargs)
        require_ours(provider := deployment_provider(kwargs))
        if self._budgets is not None:
            self._budgets.require_free(kwargs, call_type)
        if call_type == CallTypes.aresponses:
            note_provider(kwargs, provider)
        end_reservation()  # that of the attempt before
        if provider != PROVIDER:
            return None
        await reject_external_servers(kwargs, call_type)
        if self._provider is not None:
            reserve_account(self._provider.accounts, kwargs)
        report_allowance(key_allowance(), "key")
        uncached = kwargs = without_end_slashes({**kwargs, "caching": False})
        if call_type == CallTypes.anthropic_messages:
            note_servers(kwargs)
            return documents_as_text(search_as_option(without_placeholder(uncached)))
        if call_type in _GEMINI_CALLS:
            return to_adapter(uncached)
        if call_type == CallTypes.aresponses:
            approved_calls = None if self._history is None else self._history.approved_calls
            uncached = await with_approved_calls(choice_of_server(without_file_search(uncached)), approved_calls)
            return readable_input(uncached, uploads=self._uploads)
        if call_type == CallTypes.atext_completion:
            require_text_prompt(kwargs)
        elif call_type == CallTypes.acompletion:
            require_known_response(kwargs)
            note_servers(kwargs)
            uncached = keep_tool_choice(uncached)
        else:
            return uncached
        awaited = kwargs.get("stream") is True and not runs_mcp_tools(kwargs)
        return await_stream_start(uncached) if awaited else uncached

    async def async_post_mcp_tool_call_hook(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Note whether a tool has failed."""
        note_result(kwargs)

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        *_: Any,
        **__: Any,
    ) -> None:
        """Record requests that failed before the call, and add the error's headers to the response.

        LiteLLM omits them on /v1/messages. It calls this for failed calls of MCP tools, too.
        """
        if note_failure(request_data):
            return
        caller = user_api_key_dict
        self.recorder.record_rejected(request_data, original_exception, getattr(caller, "request_route", None), caller)
        if (exhausted := exhausted_allowance(original_exception, caller)) is not None:
            report_allowance(exhausted, "key")
        headers = getattr(original_exception, "headers", None) or {}
        for name in _ERROR_HEADERS & headers.keys():
            add_response_header(name, headers[name])


def _extend(
    proxy: Any,
    settings: Settings,
    provider: StackspotLLM,
    call_log: CallLog,
    budgets: KeyBudgets | None,
    *,
    history: ResponseHistory | None,
    quotas: Callable[[], Mapping[str, Quota]],
    find_unlisted: models.FindUnlisted,
) -> None:
    """Add metrics, call log, routes and the wrapper to the proxy."""
    app: FastAPI = proxy.app
    observers: list[Observer] = [call_log] if budgets is None else [call_log, budgets]
    provider.hooks.add(call_log)
    if "prometheus" in callbacks(proxy.proxy_config.get_config_state()):
        from .telemetry.prometheus import HttpMetrics, ProviderMetrics, ResponseMetrics  # noqa: PLC0415  it registers metrics

        provider.hooks.add(ProviderMetrics(accounts=[account.name for account in provider.accounts.usable]))
        provider.hooks.add(ResponseMetrics())
        observers.append(HttpMetrics())
        if settings.proxy.shortcuts:
            from .telemetry.prometheus_shortcuts import describe_labels_once  # noqa: PLC0415  imports it

            describe_labels_once()
    app.router.routes[:0] = [*models.routes(proxy, find_unlisted).routes, *kept_responses.routes(history).routes]
    app.router.routes.insert(0, StatusRoute())  # before LiteLLM's own page
    socket_paths: tuple[str, ...] = ()
    if settings.services.enabled:
        from .api.install import SOCKET_PATHS, install  # noqa: PLC0415  it needs the proxy's libraries

        install(proxy, settings, quotas, None if budgets is None else budgets.read)
        socket_paths = SOCKET_PATHS
    wrap(
        app,
        observers,
        socket_paths,
        None if history is None else history.keep,
        links=open_error_links(settings.proxy.errors_url),
    )
