"""No request that the proxy's own `/openapi.json` describes, and none that it forbids, is a 5xx or a reset connection."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.fuzzing import EXAMPLES, SEED, SHOWN, client, fault, report, shown
from tests.support.proxy import Proxy, Simulator

schemathesis = pytest.importorskip("schemathesis", reason="make test installs it")

from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402  they come with schemathesis
from hypothesis import strategies as st  # noqa: E402

FEW = 3
MODEL = "stackspot-chat"
# Of the same routes under several names, one is asked.
ROUTES = re.compile(
    r"/v1/(chat/completions|completions|embeddings|messages(/count_tokens)?|models(/\{model_id\})?)"
    r"|/v1/responses(/\{response_id\}(/cancel|/input_items)?)?"
    r"|/engines/\{model\}/(chat/completions|completions)"
    r"|/v1beta/models/\{model_name\}:(generateContent|streamGenerateContent|countTokens)"
    r"|/(chat(/stream|/stream-text)?|ingest|jobs(/\{job_id\})?|status/\{job_id\}|healthz|quota|trace-check)"
)
FUZZ = settings(
    max_examples=EXAMPLES or FEW,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """Hypothesis parses Python; CPython 3.11 fails in it where a finalizer that runs meanwhile does the same.

    It then says "AST constructor recursion depth mismatch".
    """
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def web(proxy: Proxy) -> Iterator[httpx.Client]:
    with client(proxy.url, proxy.key) as made:
        yield made


def cases(operation: Any) -> st.SearchStrategy[Any]:
    """Generate requests that the description allows; where it describes values, also ones that it does not allow."""
    modes = list(schemathesis.GenerationMode)
    if not (len(operation.body) or len(operation.query)):
        modes = [schemathesis.GenerationMode.POSITIVE]
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))


def test_a_request_of_the_proxys_own_description_is_answered_or_refused(
    proxy: Proxy, simulator: Simulator, web: httpx.Client
) -> None:
    described = web.get("/openapi.json").json()
    described["paths"] = {path: value for path, value in described["paths"].items() if ROUTES.fullmatch(path)}
    operations = [found.ok() for found in schemathesis.openapi.from_dict(described).get_all_operations()]
    assert len(operations) >= 26
    faults: list[str] = []
    for operation in operations:

        @seed(SEED)
        @FUZZ
        @given(case=cases(operation), ours=st.booleans())
        def ask(case: Any, ours: bool) -> None:
            if len(faults) == SHOWN:
                return
            if ours and isinstance(case.body, dict) and "model" in case.body:
                case.body = {**case.body, "model": MODEL}
            asked = case.as_transport_kwargs(base_url=proxy.url)
            request = web.build_request(
                asked["method"],
                asked["url"],
                params=asked.get("params"),
                json=asked.get("json"),
                content=asked["data"] if isinstance(asked.get("data"), bytes | str) else None,
            )
            path = request.url.raw_path.decode()
            if found := fault(web, request.method, path, request.content):
                faults.append(shown(web, found, request.method, path, request.content))

        ask()
    report(faults)
