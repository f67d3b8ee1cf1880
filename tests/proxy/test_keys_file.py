"""Keys of KEYS_FILE authenticate their callers."""

from __future__ import annotations

import hashlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.proxy._types import ProxyException

from custom_handler.errors import ConfigurationError
from custom_handler.proxy.keys_file import KeysFileAuth

KEY = "sk-a-key-of-team-a"
MASTER = "sk-the-master-key-of-all"


@pytest.fixture
def proxy(monkeypatch):
    """The attributes of the running proxy that concern keys."""
    running = SimpleNamespace(prisma_client=None, master_key=MASTER, general_settings={})
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", running)
    return running


@pytest.fixture
def from_text(tmp_path, proxy):
    """Return a function that reads keys from the text of a file."""

    def read(text: str | None) -> KeysFileAuth:
        path = tmp_path / "keys.yaml"
        if text is not None:
            path.write_text(text, encoding="utf-8")
        return KeysFileAuth(str(path))

    return read


@pytest.mark.parametrize("secret", [f"key: {KEY}", f"sha256: {hashlib.sha256(KEY.encode()).hexdigest().upper()}"])
@pytest.mark.parametrize("sent", [KEY, f"Bearer {KEY}"])
async def test_a_key_of_the_file_gives_its_caller_and_rate_limit(from_text, secret, sent):
    keys = from_text(f"keys: [{{name: team-a, {secret}, requests_per_minute: 7}}]")
    caller = await keys(None, sent)
    assert (caller.key_alias, caller.rpm_limit, caller.user_role.value) == ("team-a", 7, "internal_user")
    assert KEY not in repr(caller)
    assert await keys(None, sent) is not caller, "the proxy changes the object"


async def test_the_rate_limit_of_a_key_is_optional(from_text):
    assert (await from_text(f"keys: [{{name: a, key: {KEY}}}]")(None, KEY)).rpm_limit is None


@pytest.mark.parametrize("sent", ["", None, MASTER, f"Bearer {MASTER}"])
async def test_no_key_and_the_master_key_are_checked_by_the_proxy(proxy, sent):
    assert await KeysFileAuth("")(None, sent) is None


@pytest.mark.parametrize("sent", ["sk-wrong", "wrong", MASTER[:-1]])
async def test_an_unknown_key_is_a_401(proxy, sent):
    with pytest.raises(ProxyException) as raised:
        await KeysFileAuth("")(None, sent)
    assert raised.value.code == "401"
    assert "this proxy does not know the API key" in raised.value.message
    assert sent not in raised.value.message


@pytest.mark.parametrize(
    "state",
    [
        {"prisma_client": object()},
        {"general_settings": {"enable_jwt_auth": True}},
        {"general_settings": {"enable_oauth2_auth": True}},
        {"master_key": None},
    ],
    ids=["a database", "JWTs", "OAuth", "no keys at all"],
)
async def test_a_key_that_the_proxy_may_know_is_checked_by_it(proxy, state: dict[str, Any]):
    vars(proxy).update(state)
    assert await KeysFileAuth("")(None, "sk-virtual") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: FileNotFoundError"),
        ("keys: [", "cannot be read: "),
        ("- a", "must hold a list named keys"),
        ("keys: {}", "must hold a list named keys"),
        ("keys: [a]", r"keys\[0\] must have no fields but key, name, requests_per_minute, sha256"),
        (f"keys: [{{name: a, key: {KEY}, rpm: 1}}]", "must have no fields but"),
        (f"keys: [{{key: {KEY}}}]", "needs a name"),
        (f"keys: [{{name: ' ', key: {KEY}}}]", "needs a name"),
        ("keys: [{name: a}]", "needs either a key of at least 16 characters"),
        ("keys: [{name: a, key: sk-short}]", "needs either"),
        ("keys: [{name: a, key: 'sk-with a blank in it'}]", "needs either"),
        ("keys: [{name: a, sha256: abc}]", "needs either"),
        (f"keys: [{{name: a, key: {KEY}, sha256: {'a' * 64}}}]", "needs either"),
        (f"keys: [{{name: a, key: {KEY}, requests_per_minute: 0}}]", "must be a whole number above zero"),
        (f"keys: [{{name: a, key: {KEY}, requests_per_minute: true}}]", "must be a whole number above zero"),
        (f"keys: [{{name: a, key: {KEY}}}, {{name: b, key: {KEY}}}]", r"keys\[1\]: its name or its key stands there twice"),
        (f"keys: [{{name: a, key: {KEY}}}, {{name: a, key: {KEY}2}}]", "stands there twice"),
    ],
)  # fmt: skip
def test_an_invalid_file_is_rejected_without_quoting_keys(from_text, text, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        from_text(text)
    assert KEY not in str(raised.value)


async def test_a_key_has_a_weight_and_a_share_of_the_account(from_text):
    given = await from_text(f"keys: [{{name: a, key: {KEY}, weight: 7, share: 0.25}}]")(None, KEY)
    assert given.metadata == {"stackspot_quota": {"weight": 7, "share": 0.25}}
    default = await from_text(f"keys: [{{name: a, key: {KEY}}}]")(None, KEY)
    assert default.metadata == {"stackspot_quota": {"weight": 1, "share": 1.0}}


@pytest.mark.parametrize("weight", ["0", "101", "1.5", "true", "x"])
def test_a_weight_is_a_whole_number_up_to_100(from_text, weight):
    with pytest.raises(ConfigurationError, match=r"keys\[0\].weight must be a whole number from 1 to 100"):
        from_text(f"keys: [{{name: a, key: {KEY}, weight: {weight}}}]")


@pytest.mark.parametrize("share", ["0", "1.1", "-1", "true", "x"])
def test_a_share_is_a_part_of_one(from_text, share):
    with pytest.raises(ConfigurationError, match=r"keys\[0\].share must be a number above 0, and at most 1"):
        from_text(f"keys: [{{name: a, key: {KEY}, share: {share}}}]")
