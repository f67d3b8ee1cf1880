"""Translates errors of the network into errors that a client can receive."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from typing import Any

import httpx

from ...errors import AgentFailed, AgentTimeout, AgentUnreachable, IdentityUnavailable, StackspotError
from ..agent_call import AGENT, AcquireToken, FetchPublicFile, Host, Read, Send, Step
from .public_fetch import fetch_timeout_error

# One class since Python 3.11.
TIMEOUTS = (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError)
NETWORK_ERRORS = (httpx.HTTPError, httpx.InvalidURL, StackspotError, *TIMEOUTS)


def translate_network_error(error: Exception, step: Step[Any]) -> StackspotError:
    """Return the error of this package for one of NETWORK_ERRORS that `step` failed with."""
    if isinstance(error, StackspotError):
        return error
    if isinstance(step, AcquireToken):
        return IdentityUnavailable(f"The identity service gave no token within {step.timeout:.1f} s: try again.")
    if isinstance(step, FetchPublicFile):
        return fetch_timeout_error(step)
    host = step.host if isinstance(step, Send) else AGENT
    if isinstance(step, Read | Send) and isinstance(error, TIMEOUTS):
        return _silence_error(step.timeout, host)
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return _silence_error(error.request.extensions["timeout"]["read"], host)
    if isinstance(step, Send):
        unreachable = AgentUnreachable(
            f"The {host.name} cannot be reached: {describe_network_error(error, step.url)}. Check {host.check} and the proxy."
        )
        unreachable.retryable = not _is_proxy_auth_error(error)
        return unreachable
    return AgentFailed(f"The connection to the agent broke within its answer ({type(error).__name__}): try again.")


def _silence_error(seconds: float, host: Host) -> AgentTimeout:
    return AgentTimeout(
        f"The {host.name} sent nothing for {max(0.1, round(seconds, 1)):g} s: try again, or ask for less at once."
    )


def describe_network_error(error: Exception, url: str) -> str:
    """Return the unreachable host and the reason, with the usual remedy; never a password."""
    with contextlib.suppress(httpx.InvalidURL):
        url = httpx.URL(url).host or url
    reason = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason += " Name the file of your organisation's certificate authority in STACKSPOT_CA_BUNDLE"
    if _is_proxy_auth_error(error):
        reason += ", the corporate proxy refuses its credentials: correct those in HTTPS_PROXY"
    return f"{url}: {reason}"


def _is_proxy_auth_error(error: Exception) -> bool:
    return isinstance(error, httpx.ProxyError) and str(error).startswith("407")
