"""Asks the models of a proxy that runs elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import httpx

from .config import Deployment, deployments
from .router import AnswerStream, Refused, Router


class Remote:
    """The models of the proxy at `url`, for the holder of `key`."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._own = {"Authorization": f"Bearer {key}"}

    @property
    def models(self) -> tuple[Deployment, ...]:
        """Ask for the models that the key may use; raises Refused."""
        try:
            answer = httpx.get(f"{self._url}/v1/model/info", headers=self._own, timeout=10)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(
                503, {"message": f"No proxy answers at {self._url} ({type(error).__name__}): is it running?"}, {}
            ) from None
        if answer.is_error:
            message = f"The proxy answers HTTP {answer.status_code}: is --key one of its keys?"
            raise Refused(answer.status_code, {"message": message}, answer.headers)
        return deployments({"model_list": answer.json()["data"]})

    def stream(
        self, body: Mapping[str, object], headers: Mapping[str, str]
    ) -> contextlib.AbstractAsyncContextManager[AnswerStream]:
        """Ask for an answer as it comes, its usage in the end; `headers` name the call. Raises Refused."""
        return Router.over(self._url).stream(body, {**headers, **self._own})
