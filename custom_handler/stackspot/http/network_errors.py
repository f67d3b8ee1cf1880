"""What the network did, told as errors that a client can be shown."""

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
    """Translate what the network did into an error that a client can be shown."""
    if isinstance(error, StackspotError):
        return error
    if isinstance(step, AcquireToken):
        return IdentityUnavailable(f"The identity service gave no token within {step.patience:.1f} s: try again.")
    if isinstance(step, FetchPublicFile):
        return fetch_timeout_error(step)
    peer = step.peer if isinstance(step, Send) else AGENT
    if isinstance(step, Read | Send) and isinstance(error, TIMEOUTS):
        return _silent(step.timeout, peer)
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return _silent(error.request.extensions["timeout"]["read"], peer)
    if isinstance(step, Send):
        unreachable = AgentUnreachable(
            f"The {peer.name} cannot be reached: {describe_network_error(error, step.url)}. Check {peer.check} and the proxy."
        )
        unreachable.retryable = not _refused_by_proxy(error)
        return unreachable
    return AgentFailed(f"The connection to the agent broke within its answer ({type(error).__name__}): try again.")


def _silent(seconds: float, peer: Host) -> AgentTimeout:
    return AgentTimeout(
        f"The {peer.name} sent nothing for {max(0.1, round(seconds, 1)):g} s: try again, or ask for less at once."
    )


def describe_network_error(error: Exception, url: str) -> str:
    """Say which host could not be reached and why, with the cure where there is a usual one; never a password."""
    with contextlib.suppress(httpx.InvalidURL):
        url = httpx.URL(url).host or url
    said = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in said:
        said += " Name the file of your organisation's certificate authority in STACKSPOT_CA_BUNDLE"
    if _refused_by_proxy(error):
        said += ", the corporate proxy refuses its credentials: correct those in HTTPS_PROXY"
    return f"{url}: {said}"


def _refused_by_proxy(error: Exception) -> bool:
    return isinstance(error, httpx.ProxyError) and str(error).startswith("407")
