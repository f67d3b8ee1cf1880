"""The plugin that config.yaml names under `callbacks`: what the provider needs inside a running proxy."""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dotenv import load_dotenv
from fastapi import FastAPI
from litellm.integrations.custom_logger import CustomLogger
from litellm.types.utils import CallTypes

from ..errors import RequestError
from ..handler import StackspotLLM, open_first
from ..measures import Listeners
from ..replies import PROVIDER, litellm_error
from ..settings import Settings
from .checks import check_at_start, check_models
from .config import Deployment, callbacks, deployments
from .keys import require_key
from .middleware import wrap
from .provider import provider_of
from .request_id import RequestId, RequestIdFilter
from .response_headers import ResponseHeaders, add_header
from .shutdown import at_shutdown, callbacks_told
from .telemetry import Interactions, Journal, Run


class Plugin(CustomLogger):  # type: ignore[misc]
    """Opens streams before their client is told 200, writes each call down, and shows the package's log."""

    def __init__(self, settings: Settings, provider: StackspotLLM | None = None) -> None:
        super().__init__()
        # The proxy itself finds `.env` only where its virtual environment lies beside it.
        load_dotenv(Path.cwd() / ".env")
        _show_log(settings.log_level)
        proxy = sys.modules.get("litellm.proxy.proxy_server")
        models = deployments(proxy.proxy_config.get_config_state()) if proxy else ()
        run = Run(Path(settings.runs_dir), [model.described() for model in models])
        self._journal = Journal(run.interactions)
        self._interactions = Interactions(
            self._journal.write if settings.telemetry else _nowhere, content=settings.log_messages
        )
        atexit.register(self._journal.flush)
        if proxy:
            _require_models(models)
            self._join(proxy, settings, provider or StackspotLLM(settings))

    def _join(self, proxy: Any, settings: Settings, provider: StackspotLLM) -> None:
        """Become part of a proxy that is starting (its module)."""
        config = proxy.proxy_config.get_config_state()
        check_at_start(settings.startup_check, lambda: check_models(config, settings, provider.authenticate))
        _extend(proxy, settings, provider.listeners)
        at_shutdown(proxy, self.aclose)
        if settings.telemetry:
            self._journal.start()

    async def aclose(self) -> None:
        """Write down what LiteLLM has yet to tell, and what is not on the disk yet."""
        await callbacks_told()
        await asyncio.to_thread(self._journal.flush)

    async def async_log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Write down a call that somebody awaited."""
        self._interactions.ended(kwargs)

    async def async_log_failure_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Write down a failed call that somebody awaited."""
        self._interactions.ended(kwargs)

    def log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Write down a call of a program that uses LiteLLM as a library."""
        self._interactions.ended_blocking(kwargs)

    def log_failure_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Write down a failed call of such a program."""
        self._interactions.ended_blocking(kwargs)

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: CallTypes | None
    ) -> dict[str, Any] | None:
        """Have a stream of ours opened first, and another provider's key looked for; called once an attempt."""
        provider = provider_of(kwargs)
        if provider != PROVIDER:
            await require_key(provider, kwargs)
        elif call_type == CallTypes.acompletion:
            _require_history(kwargs)
            return open_first(kwargs) if kwargs.get("stream") is True else None
        return None

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        *_: Any,
        **__: Any,
    ) -> None:
        """Tell clients of every protocol when to try again; the proxy's /v1/messages leaves that header out.

        What failed before it became a call is written down here.
        """
        route = getattr(user_api_key_dict, "request_route", None)
        self._interactions.refused(request_data, original_exception, route)
        if wait := (getattr(original_exception, "headers", None) or {}).get("retry-after"):
            add_header("retry-after", wait)


def _extend(proxy: Any, settings: Settings, listeners: Listeners) -> None:
    app: FastAPI = proxy.app
    if "prometheus" in callbacks(proxy.proxy_config.get_config_state()):
        from .metrics import HttpMetrics, ProviderMetrics  # noqa: PLC0415  it registers what it counts

        listeners.add(ProviderMetrics())
        wrap(app, HttpMetrics().around)
    wrap(app, ResponseHeaders)
    wrap(app, RequestId)
    if settings.services:
        from .routes import install  # noqa: PLC0415  what it imports is there in a proxy only

        install(proxy, settings)


def _require_history(kwargs: Mapping[str, Any]) -> None:
    """Refuse a call of /v1/responses that builds on an earlier one which the proxy cannot recall.

    Its bridge looks the earlier turns up in the database, and goes on without them where it has none.
    """
    body = (kwargs.get("proxy_server_request") or {}).get("body") or {}
    if not body.get("previous_response_id"):
        return
    roles = [message.get("role") for message in kwargs.get("messages") or ()]
    if "assistant" not in roles[roles.index("user") if "user" in roles else len(roles) :]:
        error = RequestError(
            "previous_response_id: this proxy does not know that response, because it keeps none or has dropped it. "
            "Send the whole conversation in input.",
            param="previous_response_id",
        )
        raise litellm_error(error, str(kwargs.get("model")))


def _require_models(models: Iterable[Deployment]) -> None:
    """Raise ValueError for a model that is to come from the environment and is not there; LiteLLM would not say which."""
    for deployment in models:
        if not deployment.model:
            raise ValueError(
                f"{deployment.name} of config.yaml has no model: set the variable that it names, as .env.example does."
            )


def _nowhere(line: object) -> None:
    """Write nothing down: telemetry is off."""


def _show_log(level: str) -> None:
    """Write the package's log to stderr, unless the operator has set up a handler for it."""
    package = logging.getLogger("custom_handler")
    if package.level == logging.NOTSET:
        package.setLevel(level.upper())
    if not package.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(RequestIdFilter())
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"))
        package.addHandler(handler)
        package.propagate = False
