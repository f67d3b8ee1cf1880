"""Probe a provider without a completion: fetch a token, list its models, or find credentials."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import httpx

from ..errors import StackspotError
from ..provider import PROVIDER
from ..proxy.availability import key_names
from ..proxy.config import Deployment
from ..settings import DEFAULT_ACCOUNT

TIMEOUT = 5.0

# provider: the variable from which LiteLLM reads its base URL, and the default.
_ADDRESSES = {
    "groq": ("GROQ_API_BASE", "https://api.groq.com/openai/v1"),
    "fireworks_ai": ("FIREWORKS_API_BASE", "https://api.fireworks.ai/inference/v1"),
}

Authenticate = Callable[[float, str], None]
"""Fetches a StackSpot token within some seconds, for an account (`StackspotLLM.authenticate`)."""


async def probe(deployment: Deployment, authenticate: Authenticate) -> str | None:
    """Probe the provider of a deployment; return what is wrong and what to do, or None."""
    if deployment.provider == PROVIDER:
        return await probe_account(str(deployment.info.get("account") or DEFAULT_ACCOUNT), authenticate)
    if deployment.provider in _ADDRESSES:
        return await _model_list(deployment)
    return None


def probed_state(provider: str) -> str:
    """Return the state of a model whose provider passed the probe."""
    known = {PROVIDER: "a token was given", "bedrock": "credentials found"} | dict.fromkeys(_ADDRESSES, "models listed")
    return known.get(provider, "not asked")


async def probe_account(account: str, authenticate: Authenticate) -> str | None:
    """Fetch a token of an account; return what is wrong and what to do, or None."""
    return await asyncio.to_thread(_stackspot, account, authenticate)


def _stackspot(account: str, authenticate: Authenticate) -> str | None:
    try:
        authenticate(TIMEOUT, account)
    except StackspotError as error:
        return error.message
    except TimeoutError:
        return f"The identity service did not answer within {TIMEOUT:g} s: check the network, and STACKSPOT_IDM_URL."
    except (ValueError, ImportError, OSError) as error:  # an invalid proxy or file of certificates
        return f"The token call failed ({type(error).__name__}): check HTTPS_PROXY and SSL_CERT_FILE."
    return None


async def _model_list(deployment: Deployment) -> str | None:
    names, (address, default) = key_names(deployment.provider), _ADDRESSES[deployment.provider]
    key = deployment.params.get("api_key") or next(filter(None, map(os.environ.get, names)), "")
    base = str(deployment.params.get("api_base") or os.environ.get(address) or default).rstrip("/")
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            answer = await client.get(f"{base}/models", headers={"Authorization": f"Bearer {key}"})
    # The last three: an invalid proxy or file of certificates.
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, ImportError, OSError) as error:
        return f"{deployment.provider} cannot be reached ({type(error).__name__}): check the network, and {address} if it is set."
    if answer.status_code in {401, 403}:
        return f"{deployment.provider} refuses {names[0]} (HTTP {answer.status_code}): set a valid key in .env."
    if answer.is_error:
        return f"{deployment.provider} answers HTTP {answer.status_code} when asked for its models: try again later."
    return None
