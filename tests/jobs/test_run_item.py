"""One item of a job is sent as a client sends a request."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from custom_handler.jobs.credentials import encrypt_headers
from custom_handler.jobs.run_item import ItemRunner
from custom_handler.proxy.client import Completion, ProxyResponseError

pytestmark = pytest.mark.usefixtures("salt")

ITEM = {"messages": [{"role": "user", "content": "a"}], "id": "7"}


class Client:
    """A ProxyClient that raises the given errors, one for each request, then responds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[tuple[dict, dict]] = []

    async def ask(self, body, headers, service_route):
        assert service_route == "/ingest"
        self.asked.append((body, headers))
        if self.errors:
            raise self.errors.pop(0)
        message = {"role": "assistant", "content": "olá"}
        return Completion({"model": "m", "choices": [{"message": message}], "usage": {"total_tokens": 2}}, {})


def busy(status: int = 429, **headers: str) -> ProxyResponseError:
    return ProxyResponseError(status, {"message": "busy", "type": "t"}, headers)


@pytest.fixture
def job(new_job):
    job = new_job()
    return dataclasses.replace(
        job, caller=encrypt_headers(job.id, {"authorization": "Bearer k", "correlation-id": "c"})
    )


async def test_an_item_is_sent_with_its_callers_headers(job):
    client = Client()
    outcome = await ItemRunner(client)(job, 3, ITEM)
    assert client.asked == [
        (
            {"model": "stackspot-chat", "messages": ITEM["messages"]},
            {"authorization": "Bearer k", "correlation-id": "c", "x-request-id": f"{job.id}-3"},
        )
    ]
    assert outcome.ok
    answer = outcome.answer
    assert (answer["content"], answer["reply"], answer["id"], answer["request_id"]) == (
        "olá",
        "olá",
        "7",
        f"{job.id}-3",
    )
    assert answer["usage"] == {"total_tokens": 2}


async def test_an_error_response_is_the_items_error(job):
    outcome = await ItemRunner(Client(ProxyResponseError(400, {"message": "no", "type": "bad"}, {})))(job, 0, ITEM)
    assert not outcome.ok
    assert outcome.answer == {"message": "no", "type": "bad", "code": "400", "id": "7", "request_id": f"{job.id}-0"}


async def test_an_internal_error_is_the_items_error_without_its_text(job, caplog):
    outcome = await ItemRunner(Client(RuntimeError("a secret")))(job, 0, ITEM)
    assert (outcome.ok, outcome.answer["code"], outcome.answer["type"]) == (False, "500", "RuntimeError")
    assert "a secret" not in str(outcome) + caplog.text


@pytest.mark.parametrize(("status", "tries"), [(429, 3), (503, 3), (500, 1), (400, 1)])
async def test_busy_responses_are_retried_after_their_delay(job, status, tries, monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    wait = {"retry-after": "7"}
    client = Client(busy(status, **wait), busy(status, **{"retry-after": "100000"}))
    outcome = await ItemRunner(client)(job, 0, ITEM)
    assert len(client.asked) == tries
    assert outcome.ok is (tries == 3)
    assert waited == ([7, 120] if tries == 3 else [])


async def test_a_response_without_retry_after_is_not_retried(job):
    client = Client(busy())
    assert not (await ItemRunner(client)(job, 0, ITEM)).ok
    assert len(client.asked) == 1


async def test_an_item_is_tried_at_most_five_times(job):
    client = Client(*[busy(**{"retry-after": "0"}) for _ in range(9)])
    assert not (await ItemRunner(client)(job, 0, ITEM)).ok
    assert len(client.asked) == 5


async def test_headers_that_cannot_be_decrypted_are_the_items_error(job, monkeypatch):
    monkeypatch.setenv("LITELLM_SALT_KEY", "sk-another")
    outcome = await ItemRunner(Client())(job, 0, ITEM)
    assert (outcome.ok, outcome.answer["code"]) == (False, "401")
    assert "Send the job again" in outcome.answer["message"]
