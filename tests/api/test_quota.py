"""`GET /quota`: what is told of the account and of its keys, to whom, and what one slow read costs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from litellm.constants import LITELLM_PROXY_MASTER_KEY_ALIAS
from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth

from custom_handler.api import quota
from custom_handler.provider.litellm_call import QUOTA, key_caller
from custom_handler.proxy.auth import require_key
from custom_handler.request.caller import MASTER, Caller, KeyQuota
from custom_handler.stackspot.state.ledger import Limits, Quota, Usage

ANA, BIA, VIRTUAL = Caller("ana", weight=2), Caller("bia", share=0.5), Caller("virtual")
KEY: dict[str, Any] = {"api_key": "a" * 64, "key_alias": "bia", "metadata": {QUOTA: KeyQuota(weight=1, share=0.5)}}
BUSY = Quota(Limits(90, 1000), Usage(7, 20, {ANA: 5, VIRTUAL: 2}, {ANA: 3}), 12.0)


def told(found: Quota, only: Caller | None = None) -> dict[str, Any]:
    return quota.quota_object(found, only, (ANA, BIA), 1000.0)


def key(name: str, used: int, waiting: int, weight: int = 1, share: float = 1.0) -> dict[str, Any]:
    return {"name": name, "used": used, "waiting": waiting, "weight": weight, "share": share}


def test_all_keys_are_told_those_without_requests_too():
    keys = [key("ana", 5, 3, weight=2), key("bia", 0, 0, share=0.5), key("virtual", 2, 0)]
    day = {"limit": 1000, "used": 20}
    assert told(BUSY) == {"limit": 90, "used": 7, "waiting": 3, "paused_until": 1012.0, "day": day, "keys": keys}


@pytest.mark.parametrize("caller", [ANA, BIA, VIRTUAL, Caller("new", weight=4)])
def test_a_caller_is_told_its_own_key(caller):
    (only,) = told(BUSY, caller)["keys"]
    assert (only["name"], only["weight"], only["share"]) == (caller.name, caller.weight, caller.share)
    assert only["used"] == {ANA: 5, VIRTUAL: 2}.get(caller, 0)


def test_without_limits_and_pauses_there_is_null():
    empty = told(Quota(Limits(), Usage()))
    assert (empty["limit"], empty["day"], empty["paused_until"]) == (None, {"limit": None, "used": 0}, None)


def test_quick_commands_have_a_quota_of_their_own():
    commands = Quota(Limits(20, 6000), Usage(9, 50, {BIA: 9}))
    found = told(replace(BUSY, quick_commands=commands))
    assert found == told(BUSY) | {"quick_commands": told(commands)}
    assert (found["quick_commands"]["limit"], found["quick_commands"]["day"]) == (20, {"limit": 6000, "used": 50})
    [own] = told(replace(BUSY, quick_commands=commands), BIA)["quick_commands"]["keys"]
    assert own == key("bia", 9, 0, share=0.5), "a caller sees its own key only there, too"


def test_quick_commands_of_several_accounts_are_summed():
    one, other = replace(BUSY, quick_commands=Quota(Limits(20), Usage(9))), replace(BUSY, quick_commands=BUSY)
    found = quota.quotas_object({"default": one, "b": other, "c": BUSY}, None, (), 1000.0)
    assert (found["quick_commands"]["limit"], found["quick_commands"]["used"]) == (110, 16)
    assert ["quick_commands" in each for each in found["accounts"]] == [True, True, False]


def test_a_key_whose_weight_has_changed_is_one_key():
    changed = Quota(Limits(90), Usage(3, 3, {Caller("ana"): 2, ANA: 1}, {Caller("ana", weight=3): 1}))
    (found, _) = told(changed)["keys"]
    assert found == key("ana", 3, 1, weight=2)


@pytest.mark.parametrize("metadata", [None, {}, {QUOTA: 7}, {QUOTA: {"weight": 100, "share": 0.5}}])
@pytest.mark.parametrize("alias", ["team", MASTER.name])
def test_a_virtual_key_has_no_weight_and_no_name_of_another_key(metadata, alias):
    assert key_caller(alias, "88dc28d0f030c55e", metadata) == Caller(f"{alias} (88dc28d0f030)")
    assert key_caller(None, "88dc28d0f030c55e", metadata) == Caller("88dc28d0f030")


def test_a_key_of_the_file_has_its_name_and_weight():
    quota_of_key = KeyQuota(weight=4, share=0.5)
    assert key_caller("team", "88dc28d0f030c55e", {QUOTA: quota_of_key}) == Caller("team", 4, 0.5)
    assert key_caller("proxy_admin", LITELLM_PROXY_MASTER_KEY_ALIAS, {}) == MASTER


def app(read: Callable[[], Mapping[str, Quota]], authenticated: UserAPIKeyAuth) -> httpx.AsyncClient:
    application = FastAPI()
    application.include_router(quota.routes(read, (ANA, BIA)))
    application.dependency_overrides[require_key] = lambda: authenticated
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://proxy")


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (LitellmUserRoles.PROXY_ADMIN, ["ana", "bia", "virtual"]),
        (LitellmUserRoles.PROXY_ADMIN_VIEW_ONLY, ["ana", "bia", "virtual"]),
        (LitellmUserRoles.INTERNAL_USER, ["bia"]),
        (None, ["bia"]),
    ],
)
async def test_only_an_administrator_sees_all_keys(role, names):
    async with app(lambda: {"default": BUSY}, UserAPIKeyAuth(**KEY, user_role=role)) as client:
        answer = (await client.get("/quota")).json()
    assert [found["name"] for found in answer["keys"]] == names


async def test_many_requests_share_one_slow_read():
    blocked, reads = threading.Event(), []

    def read() -> dict[str, Quota]:
        reads.append(threading.current_thread().name)
        blocked.wait(60)
        return {"default": BUSY}

    reader = quota._Reader(read)
    requests = [asyncio.create_task(reader.read()) for _ in range(40)]
    await asyncio.sleep(0)  # each has begun to wait
    requests[0].cancel()
    await asyncio.sleep(0)
    blocked.set()
    cancelled, *answers = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert answers == [{"default": BUSY}] * 39
    assert reads == ["stackspot-quota_0"], "a thread that others need may block"
    assert await reader.read() == {"default": BUSY}
    assert len(reads) == 2
