"""One item of a job is asked as any client asks."""

from __future__ import annotations

import dataclasses

import pytest

from custom_handler.jobs import run_item
from custom_handler.jobs.credentials import encrypt_headers
from custom_handler.jobs.run_item import ItemRunner
from custom_handler.proxy.client import Completion, ProxyResponseError

pytestmark = pytest.mark.usefixtures("salt")

ITEM = {"messages": [{"role": "user", "content": "a"}], "id": "7"}


class Router:
    """A router that refuses as often as it is told to."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.asked: list[tuple[dict, dict]] = []

    async def ask(self, body, headers):
        self.asked.append((body, headers))
        if self.refusals:
            raise self.refusals.pop(0)
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


async def test_an_item_is_asked_in_its_callers_name(job):
    router = Router()
    outcome = await ItemRunner(router)(job, 3, ITEM)
    assert router.asked == [
        (
            {"model": "stackspot-chat", "messages": ITEM["messages"]},
            {"authorization": "Bearer k", "correlation-id": "c", "x-request-id": f"{job.id}-3"},
        )
    ]
    assert outcome.ok
    told = outcome.answer
    assert (told["content"], told["reply"], told["id"], told["request_id"]) == ("olá", "olá", "7", f"{job.id}-3")
    assert told["usage"] == {"total_tokens": 2}


async def test_a_refusal_is_the_items_error(job):
    outcome = await ItemRunner(Router(ProxyResponseError(400, {"message": "no", "type": "bad"}, {})))(job, 0, ITEM)
    assert not outcome.ok
    assert outcome.answer == {"message": "no", "type": "bad", "code": "400", "id": "7", "request_id": f"{job.id}-0"}


async def test_a_failure_of_ours_is_the_items_error_and_shows_nothing(job, caplog):
    outcome = await ItemRunner(Router(RuntimeError("a secret")))(job, 0, ITEM)
    assert (outcome.ok, outcome.answer["code"], outcome.answer["type"]) == (False, "500", "RuntimeError")
    assert "a secret" not in str(outcome) + caplog.text


@pytest.mark.parametrize(("status", "tries"), [(429, 3), (503, 3), (500, 1), (400, 1)])
async def test_who_is_told_when_to_come_back_comes_back_then(job, status, tries, monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr(run_item.asyncio, "sleep", sleep)
    wait = {"retry-after": "7"}
    router = Router(busy(status, **wait), busy(status, **{"retry-after": "100000"}))
    outcome = await ItemRunner(router)(job, 0, ITEM)
    assert len(router.asked) == tries
    assert outcome.ok is (tries == 3)
    assert waited == ([7, 120] if tries == 3 else [])


async def test_who_is_not_told_when_to_come_back_does_not(job):
    router = Router(busy())
    assert not (await ItemRunner(router)(job, 0, ITEM)).ok
    assert len(router.asked) == 1


async def test_patience_has_an_end(job):
    router = Router(*[busy(**{"retry-after": "0"}) for _ in range(9)])
    assert not (await ItemRunner(router)(job, 0, ITEM)).ok
    assert len(router.asked) == 5


async def test_a_key_that_can_no_longer_be_read_is_told(job, monkeypatch):
    monkeypatch.setenv("LITELLM_SALT_KEY", "sk-another")
    outcome = await ItemRunner(Router())(job, 0, ITEM)
    assert (outcome.ok, outcome.answer["code"]) == (False, "401")
    assert "Send the job again" in outcome.answer["message"]
