"""Use the models of a running proxy."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import httpx

from ..proxy.client import CompletionStream, ProxyClient, ProxyResponseError
from ..proxy.config import Deployment, deployments


class ProxyBackend:
    """The models of the proxy at `url`; `key` is an API key of it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._authorization = {"Authorization": f"Bearer {key}"}

    @property
    def models(self) -> tuple[Deployment, ...]:
        """Fetch the models that the key may use. Raises ProxyResponseError."""
        try:
            answer = httpx.get(f"{self._url}/v1/model/info", headers=self._authorization, timeout=10)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None
        if answer.is_error:
            message = f"The proxy answers HTTP {answer.status_code}: is --key one of its keys?"
            raise ProxyResponseError(answer.status_code, {"message": message}, answer.headers)
        return deployments({"model_list": answer.json()["data"]})

    @contextlib.asynccontextmanager
    async def stream(self, body: Mapping[str, object], headers: Mapping[str, str]) -> AsyncIterator[CompletionStream]:
        """Stream a completion, with the usage at the end. Raises ProxyResponseError."""
        try:
            async with ProxyClient.at(self._url).stream(body, {**headers, **self._authorization}) as answer:
                yield answer
        except ProxyResponseError as error:
            if isinstance(cause := error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                raise self._unreachable(cause) from None
            raise

    async def aclose(self) -> None:
        """Close nothing: each call has a client of its own."""

    def _unreachable(self, error: Exception) -> ProxyResponseError:
        message = (
            f"No proxy answers at {self._url} ({type(error).__name__}): is it running? "
            "Start it with `stackspot-litellm run`, or correct --url."
        )
        return ProxyResponseError(503, {"message": message}, {})


def is_running(url: str) -> bool:
    """Return whether a LiteLLM proxy responds at `url`."""
    with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL):
        return httpx.get(f"{url}/health/liveliness", timeout=2, trust_env=False).status_code == 200
    return False
