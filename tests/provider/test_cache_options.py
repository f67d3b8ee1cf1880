"""What `model_info` says about the cache, what a request may change, and that the provider uses it."""

from __future__ import annotations

from typing import Any

import pytest

from custom_handler.errors import ConfigurationError
from custom_handler.provider.cache_options import cache_options, cache_scope
from custom_handler.provider.litellm_call import caller_identity

TEXT = [{"role": "user", "content": "Oi"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def options(
    info: dict[str, Any] | None = None,
    *,
    metadata: dict[str, Any] | None = None,
    control: str = "",
    body: dict[str, Any] | None = None,
    messages: list[dict[str, Any]] | None = None,
) -> Any:
    headers = {"cache-control": control} if control else {}
    caller = caller_identity(metadata or {})
    return cache_options(info or {"cache": "key"}, caller, headers, body or {}, messages or TEXT)


@pytest.mark.parametrize("info", [{}, {"cache": None}, {"cache": False}])
def test_without_the_option_nothing_is_cached(info: dict[str, Any]) -> None:
    assert cache_options(info, "", {}, {}, TEXT) is None


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"cache": "all"}, "model_info.cache is 'all'"),
        ({"cache": True}, "model_info.cache is 'True'"),
        ({"cache": ["key"]}, "model_info.cache is"),
        ({"cache": "key", "cache_ttl": 0}, "model_info.cache_ttl is '0'"),
        ({"cache": "key", "cache_ttl": "300"}, "model_info.cache_ttl is '300'"),
        ({"cache": "key", "cache_ttl": True}, "model_info.cache_ttl is"),
        ({"cache": "key", "cache_ttl": float("nan")}, "model_info.cache_ttl is"),
        ({"cache": "key", "cache_ttl": 604_801}, "model_info.cache_ttl is"),
        ({"cache_ttl": 60}, "it needs model_info.cache"),
    ],
)
def test_a_wrong_option_is_named(info: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        cache_scope(info)


def test_answers_are_kept_for_five_minutes_or_as_long_as_the_model_says() -> None:
    assert options().seconds == 300
    assert options({"cache": "account", "cache_ttl": 60}).seconds == 60


def test_each_key_has_a_cache_of_its_own() -> None:
    hashes = {"user_api_key": "hash-1"}, {"user_api_key": "hash-2"}, {"user_api_key_alias": "hash-1"}, {}
    assert len({options(metadata=metadata).owner for metadata in hashes}) == 4
    assert options(metadata=hashes[0]) == options(metadata={**hashes[0], "headers": {}})
    assert {options({"cache": "account"}, metadata=metadata).owner for metadata in hashes} == {None}


@pytest.mark.parametrize("known", [{}, {"user_api_key_alias": "a"}, {"user_api_key_team_id": "t"}])
def test_callers_that_the_proxy_cannot_tell_apart_share_no_cache_of_a_key(known: dict[str, Any]) -> None:
    anonymous = {"user_api_key_hash": None, "user_api_key": None} | known
    assert options(metadata=anonymous).bypass
    assert not options({"cache": "account"}, metadata=anonymous).bypass
    assert not options(metadata=anonymous | {"user_api_key_user_id": "ana"}).bypass


@pytest.mark.parametrize(
    ("control", "body", "refresh", "bypass"),
    [
        ("", {}, False, False),
        ("no-store", {}, False, True),
        ("No-Store, max-age=60", {}, False, True),
        ("no-cache", {}, True, False),
        ("max-age=0", {}, True, False),
        ("max-age=60", {}, False, False),
        ("", {"cache": {"no-store": True}}, False, True),
        ("", {"cache": {"no-cache": True}}, True, False),
        ("", {"cache": {"no-cache": False, "ttl": 9}}, False, False),
        ("", {"cache": "no-store"}, False, False),
    ],
)
def test_a_request_decides_by_header_or_field(control: str, body: dict[str, Any], refresh: bool, bypass: bool) -> None:
    found = options(control=control, body=body)
    assert (found.refresh, found.bypass) == (refresh, bypass)


@pytest.mark.parametrize("role", ["user", "tool"])
def test_files_are_not_cached(role: str) -> None:
    picture = {"role": role, "content": [{"type": "text", "text": "?"}, PICTURE]}
    assert options(messages=[*TEXT, picture]).bypass
    assert not options(messages=[{"role": role, "content": [{"type": "text", "text": "?"}]}]).bypass
    assert not options(messages=[{"role": "assistant", "content": None}, *TEXT]).bypass


def test_the_four_methods_share_a_cache(provider: Any, simulator: Any, entries: Any, hello: Any) -> None:
    simulator.script({"text": "um dois", "times": "always"})
    call = {"litellm_params": {"model_info": {"cache": "key"}}}
    told = {name: ask(provider, hello, **call).told() for name, ask in entries.items()}
    assert told == dict.fromkeys(entries, told["completion"])
    assert [request["at"] for request in simulator.requests()] == ["token", "chat"]
