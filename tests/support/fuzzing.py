"""Ask the proxy with many bodies, and report answers that no body may have.

`make fuzz` sets FUZZ_EXAMPLES, the bodies for each test and protocol, and FUZZ_SEED; without them, they are few and
always the same.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx

from tests.support.request_bodies import smallest

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
TIMEOUT = 15.0
SHOWN = 5  # faults of a test
_SHRINKING = 60  # requests for each of them

_DOCUMENTED = {501, 503}  # a route of LiteLLM's that it does not implement; docs/errors.md
_INTERNAL = re.compile(r"Traceback|site-packages|\.py\b|input_value|Internal error of the proxy|got multiple values")
_FAILED_STREAM = re.compile(r'"(code|status)": ?"?5\d\d|internal_server_error|"api_error"')
# What the last part of a complete stream has, by the end of the path.
_STREAM_ENDS: Mapping[str, str] = {
    "/completions": "data: [DONE]",
    "/v1/messages": "event: message_stop",
    "/responses": '"type":"response.',
    ":streamGenerateContent": '"finishReason"',
}


def client(url: str, key: str) -> httpx.Client:
    """Return a client that waits no longer than TIMEOUT for a part of an answer."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT, trust_env=False)


def hold(web: httpx.Client, path: str, bodies: Iterable[dict[str, Any]]) -> None:
    """Ask with each body; fail with the first faults, each with a small body that still shows it."""
    faults: list[str] = []
    for body in bodies:
        if found := fault(web, "POST", path, written(body)):
            faults.append(shown(web, found, "POST", path, written(body)))
            if len(faults) == SHOWN:
                break
    report(faults)


def shown(web: httpx.Client, found: str, method: str, path: str, content: bytes) -> str:
    """Return a fault, with a command that sends a small body of it again."""
    return f"{found}\n{command(method, path, content if 'Timeout' in found else smaller(web, method, path, content))}"


def smaller(web: httpx.Client, method: str, path: str, content: bytes) -> bytes:
    """Return a small body that still shows a fault; the same body, if it is not of JSON."""
    try:
        body = json.loads(content)
    except ValueError:
        return content
    return written(smallest(body, _fails(web, method, path))) if isinstance(body, dict) else content


def report(faults: list[str]) -> None:
    """Fail with faults, if there are some."""
    assert not faults, "\n\n".join([f"FUZZ_SEED={SEED} FUZZ_EXAMPLES={EXAMPLES}", *faults])


def _fails(web: httpx.Client, method: str, path: str) -> Callable[[dict[str, Any]], bool]:
    left = iter(range(_SHRINKING))
    return lambda body: next(left, None) is not None and fault(web, method, path, written(body)) is not None


def written(body: Any) -> bytes:
    return json.dumps(body).encode()


def command(method: str, path: str, content: bytes | None) -> str:
    """Return a command that sends a request again."""
    body = f" --data-raw {shlex.quote(content.decode(errors='backslashreplace'))}" if content else ""
    headers = '-H "Authorization: Bearer $KEY" -H "Content-Type: application/json"'
    return f'curl -i -X {method} "$PROXY"{shlex.quote(path)} {headers}{body}'


def fault(web: httpx.Client, method: str, path: str, content: bytes | None = None) -> str | None:
    """Ask, and return what is wrong with the answer: a failure of the proxy, another form of error, no answer."""
    started = time.monotonic()
    try:
        answer = web.request(method, path, content=content)
    except httpx.HTTPError as error:
        return repr(error)
    if (seconds := time.monotonic() - started) > 2 * TIMEOUT:  # a stream of comments
        return f"Timeout: {seconds:.0f} s"
    return wrong(answer, path.partition("?")[0])


def wrong(answer: httpx.Response, path: str) -> str | None:
    """Return an answer that no body may have, None for a good one.

    >>> wrong(httpx.Response(400, json={"error": {"message": "x", "type": "y", "code": "400"}}), "/v1/completions")
    >>> wrong(httpx.Response(400, json={"detail": "x"}), "/v1/completions")
    '400 {"detail":"x"}'
    """
    text = f"{answer.status_code} {answer.text[:1000]}"
    if answer.status_code < 400:
        is_stream = "event-stream" in answer.headers.get("content-type", "")
        return text[-1000:] if is_stream and not _is_complete(answer.text, path) else None
    if answer.status_code >= 500 and answer.status_code not in _DOCUMENTED:
        return text
    return None if not _INTERNAL.search(answer.text) and _is_error(answer, path) else text


def _is_complete(text: str, path: str) -> bool:
    end = next((end for tail, end in _STREAM_ENDS.items() if path.endswith(tail)), "")
    return not _FAILED_STREAM.search(text) and (end in text[-5000:] or '"error"' in text)


def _is_error(answer: httpx.Response, path: str) -> bool:
    """Return whether an answer is an error in the form of the path's protocol."""
    try:
        match answer.json():
            case {"type": "error", "error": {"type": str(), "message": str(message)}}:
                return bool(message) and "/messages" in path
            case {"error": {"code": int(code), "status": str(), "message": str(message)}}:
                return bool(message) and "/v1beta/" in path and code == answer.status_code
            case {"error": {"message": str(message), "type": str() | None, "code": str() | int()}}:
                return bool(message) and "/messages" not in path and "/v1beta/" not in path
    except ValueError:
        pass
    return False
