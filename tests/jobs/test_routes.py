"""The routes of jobs; no worker runs here."""

from __future__ import annotations

import dataclasses
import json
import threading
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from litellm.constants import LITELLM_PROXY_MASTER_KEY_ALIAS
from litellm.proxy._types import UserAPIKeyAuth
from starlette.requests import Request

from custom_handler.api.jobs import routes
from custom_handler.jobs.credentials import decrypt_headers, encrypt_headers
from custom_handler.jobs.job import Outcome
from custom_handler.jobs.lifespan import JobsLifespan
from custom_handler.proxy.auth import require_key
from tests.support.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("salt")

KEYS = {"ana": "hash-of-ana", "bia": "hash-of-bia", "master": LITELLM_PROXY_MASTER_KEY_ALIAS}


@pytest.fixture
def route_settings(tmp_path):
    from custom_handler.settings import JobSettings, Settings

    return Settings(jobs=JobSettings(directory=str(tmp_path / "jobs"), max_items=5, max_bytes=2000))


class Client:
    """Sends requests with one of the keys."""

    def __init__(self, route_settings: Any) -> None:
        async def run_item(*_: object) -> Outcome:
            raise AssertionError("no worker runs here")

        self.jobs = JobsLifespan(run_item, route_settings)
        self.app = FastAPI()
        self.app.include_router(routes(self.jobs, route_settings))
        self.app.dependency_overrides[require_key] = self._caller

    async def _caller(self, request: Request) -> UserAPIKeyAuth:
        return UserAPIKeyAuth(api_key=KEYS[request.headers["authorization"]])

    async def __call__(
        self, method: str, path: str, body: Any = None, key: str = "ana", *, content: str | None = None, **headers: str
    ) -> Any:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
            return await client.request(
                method, path, json=body, content=content, headers={"authorization": key, **headers}
            )


@pytest.fixture
async def client(route_settings):
    client = Client(route_settings)
    yield client
    await client.jobs.stop()


async def ingested(client: Client, key: str = "ana", **headers: str) -> str:
    answer = await client("POST", "/ingest", {"messages": ["a", "b"]}, key, **headers)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["location"] == f"/status/{answer.json()['job_id']}"
    return answer.json()["job_id"]


@pytest.mark.parametrize(
    "body",
    [
        '{"messages": ["a", [{"role": "user", "content": "\\ud800"}]]}',
        '{"messages": ["a"], "params": {"temperature": NaN}}',
    ],
    ids=["in an item", "in the parameters"],
)
async def test_values_that_json_cannot_represent_are_rejected(client, body):
    refused = await client("POST", "/ingest", content=body, **{"content-type": "application/json"})
    assert refused.status_code == 422
    assert "NaN, Infinity or half a surrogate pair" in refused.json()["error"]["message"]
    assert (await client("GET", "/jobs")).json() == {"jobs": []}


async def test_the_status_of_a_queued_job(client):
    job_id = await ingested(client)
    status = (await client("GET", f"/status/{job_id}")).json()
    created = status.pop("created_at")
    assert created > 0
    assert status == {
        "job_id": job_id,
        "status": "queued",
        "progress": {"total": 2, "done": 0, "failed": 0},
        "result": None,
        "error": None,
        "model": "stackspot-chat",
        "ended_at": None,
    }


async def test_an_ended_job_has_a_result_or_error_for_each_item(client):
    job_id = await ingested(client)
    store = client.jobs.queue().store
    store.claim(job_id, "w", 9)
    store.record(job_id, "w", 1, Outcome({"message": "no", "code": "400"}, ok=False))
    store.record(job_id, "w", 0, Outcome({"content": "olá"}))
    store.end(job_id, "completed", None, "w")
    status = (await client("GET", f"/status/{job_id}")).json()
    assert status["result"] == [{"item": 0, "content": "olá"}, {"item": 1, "error": {"message": "no", "code": "400"}}]
    assert status["progress"] == {"total": 2, "done": 2, "failed": 1}


async def test_only_its_key_and_the_master_key_can_see_a_job(client):
    job_id = await ingested(client)
    for method, path in (("GET", f"/status/{job_id}"), ("DELETE", f"/jobs/{job_id}")):
        refused = await client(method, path, key="bia")
        assert refused.status_code == 404
        assert refused.json()["error"]["message"] == f"There is no job '{job_id}' of this key."
    assert (await client("GET", "/jobs", key="bia")).json() == {"jobs": []}
    for key in ("ana", "master"):
        assert (await client("GET", f"/status/{job_id}", key=key)).status_code == 200
        assert [job["job_id"] for job in (await client("GET", "/jobs", key=key)).json()["jobs"]] == [job_id]


async def test_a_job_is_cancelled_once(client):
    job_id = await ingested(client)
    assert (await client("DELETE", f"/jobs/{job_id}")).json() == {"job_id": job_id, "status": "cancelled"}
    again = await client("DELETE", f"/jobs/{job_id}")
    assert again.status_code == 409
    assert again.json()["error"]["message"] == "The job has ended already: cancelled."


async def test_jobs_are_listed_newest_first_up_to_the_limit(client):
    jobs = [await ingested(client) for _ in range(3)]
    listed = (await client("GET", "/jobs?limit=2")).json()["jobs"]
    assert [job["job_id"] for job in listed] == jobs[:0:-1]
    assert (await client("GET", "/jobs?limit=0")).status_code == 422


async def test_the_callers_headers_are_stored_encrypted(client, route_settings):
    job_id = await ingested(client, **{"correlation-id": "conversa-1", "x-litellm-tags": "t", "x-litellm-call-id": "c"})
    encrypted = client.jobs.queue().store.find(job_id).caller
    headers = decrypt_headers(job_id, encrypted)
    assert (headers["authorization"], headers["correlation-id"], headers["x-litellm-tags"]) == (
        "ana",
        "conversa-1",
        "t",
    )
    assert "x-litellm-call-id" not in headers
    stored = dataclasses.asdict(client.jobs.queue().store.find(job_id))
    assert "ana" not in json.dumps(stored)
    assert "conversa-1" not in json.dumps(stored)


async def test_the_default_correlation_id_is_the_jobs_id(client):
    job_id = await ingested(client)
    assert decrypt_headers(job_id, client.jobs.queue().store.find(job_id).caller)["correlation-id"] == job_id


async def test_a_required_correlation_id_is_checked_at_ingestion(route_settings):
    client = Client(route_settings.changed(requests={"require_correlation_id": True}))
    refused = await client("POST", "/ingest", {"messages": ["a"]})
    assert (refused.status_code, "correlation-id is missing" in refused.text) == (400, True)


def test_headers_decrypt_for_their_job_and_with_their_key_only(monkeypatch):
    encrypted = encrypt_headers("a", {"authorization": "Bearer sk-secret"})
    assert "secret" not in encrypted
    assert decrypt_headers("a", encrypted) == {"authorization": "Bearer sk-secret"}
    assert decrypt_headers("b", encrypted) is None
    monkeypatch.setenv("LITELLM_SALT_KEY", "sk-another-salt")
    assert decrypt_headers("a", encrypted) is None


REJECTED = {
    "nothing": ({}, "give exactly one of messages and documents"),
    "both": ({"messages": ["a"], "documents": ["b"], "prompt": "c"}, "give exactly one of messages and documents"),
    "no prompt": ({"documents": ["a"]}, "documents and prompt go together"),
    "no documents": ({"messages": ["a"], "prompt": "b"}, "documents and prompt go together"),
    "a conversation": ({"messages": [{"role": "user", "content": "a"}]}, "entry 0 must be a text, or a conversation"),
    "no items": ({"messages": []}, "messages: List should have at least 1 item"),
    "no text": ({"documents": [{"id": "a"}], "prompt": "b"}, "documents.0.text: Field required"),
    "a stream": ({"messages": ["a"], "params": {"stream": True}}, "a job's answers are not streamed"),
    "unknown": ({"messages": ["a"], "colour": 1}, "colour: Extra inputs are not permitted"),
    "many": ({"messages": ["a"] * 6}, "at most 5 items, not 6: make several jobs"),
    "large": ({"messages": ["a" * 2000]}, "more than 2000 bytes in all"),
    "large in all": ({"documents": ["a"] * 5, "prompt": "p" * 500}, "more than 2000 bytes in all"),
}


@pytest.mark.parametrize("case", REJECTED)
async def test_an_invalid_job_is_rejected_with_the_reason(client, case):
    body, reason = REJECTED[case]
    refused = await client("POST", "/ingest", body)
    assert refused.status_code == 422
    assert reason in refused.json()["error"]["message"]
    assert (await client("GET", "/jobs")).json() == {"jobs": []}


ACCEPTED = {
    "texts": ({"messages": ["a"]}, [{"messages": [{"role": "user", "content": "a"}]}]),
    "conversations": (
        {"messages": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]},
        [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}],
    ),
    "documents": (
        {"documents": ["x", {"text": "y", "id": "7"}], "prompt": "p", "system_prompt": "s"},
        [
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "p\n\nx"}]},
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "p\n\ny"}], "id": "7"},
        ],
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
async def test_each_entry_becomes_an_item(client, case):
    body, items = ACCEPTED[case]
    answer = await client("POST", "/ingest", body | {"model": "m", "params": {"seed": 1, "json_mode": True}})
    job = client.jobs.queue().store.find(answer.json()["job_id"])
    assert job.call == {"model": "m", "seed": 1, "response_format": {"type": "json_object"}}
    assert [found.payload for found in client.jobs.queue().store.open_items(job.id)] == items


async def test_an_unreachable_store_is_a_503_with_retry_after(route_settings):
    client = Client(route_settings.changed(redis={"url": "redis://127.0.0.1:1/0"}))
    for method, path, body in (("POST", "/ingest", {"messages": ["a"]}), ("GET", "/jobs", None)):
        answer = await client(method, path, body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "Redis does not answer" in answer.json()["error"]["message"]
    await client.jobs.stop()


async def test_without_an_encryption_key_no_job_is_accepted(route_settings, monkeypatch):
    monkeypatch.delenv("LITELLM_SALT_KEY")
    answer = await Client(route_settings)("POST", "/ingest", {"messages": ["a"]})
    assert (answer.status_code, "set LITELLM_MASTER_KEY" in answer.text) == (503, True)


async def test_a_slow_store_is_a_503_and_a_late_job_is_cancelled(client, monkeypatch):
    queue = client.jobs.queue()
    opened, added = threading.Event(), queue.add

    def slow_add(*args):
        opened.wait(60)
        added(*args)

    monkeypatch.setattr(queue, "add", slow_add)
    monkeypatch.setattr(client.jobs._executor, "_timeout", 0.05)
    refused = await client("POST", "/ingest", {"messages": ["a"]})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "no answer within 0.05 s" in refused.json()["error"]["message"]
    opened.set()
    await eventually_async(lambda: [job.status for job in queue.store.newest(None, 9)] == ["cancelled"])
