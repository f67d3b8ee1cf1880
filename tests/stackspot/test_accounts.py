"""The file of accounts, and what its accounts never share: tokens, quota, files and conversations."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from custom_handler import StackspotLLM
from custom_handler.errors import ConfigurationError
from custom_handler.instrumentation import Measurement, RequestCounted, TokenCall
from custom_handler.request.caller import Caller
from custom_handler.settings import AccountSettings, Settings
from custom_handler.stackspot.accounts_file import account_reloader, choose_account, read_accounts
from custom_handler.stackspot.state.ledger import Limits, Quota, Usage, total_quota
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

SECRET = "a-secret-that-no-error-shows"
B = {"client_id": "client-of-b", "client_secret": SECRET, "realm": "acme"}
OWN = AccountSettings(client_id="own-client", client_secret="own", realm="acme", agent_id="an-agent")


def settings_with(folder: Path, content: Any, **settings: Any) -> Settings:
    file = folder / "accounts.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return Settings(account=OWN, **settings).changed(account={"accounts_file": str(file)})


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in B.items() if name != field}


def test_without_a_file_there_is_one_account() -> None:
    settings = Settings(account=OWN)
    assert read_accounts(settings) == {"default": settings}


def test_each_account_has_its_credentials_and_limits(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    own_limits = {"requests_per_minute": 30, "requests_per_day": 0}
    content = {"accounts": {"b": B, "c": {**without("client_secret"), "client_id": "c", **own_limits}}}
    content["accounts"]["c"]["client_secret_file"] = "secret"  # relative to the file
    settings = settings_with(tmp_path, content).changed(limits={"requests_per_day": 500})
    default, b, c = read_accounts(settings).values()
    assert default is settings
    assert (b.account.name, b.account.client_secret, b.account.label) == ("acme/client-of-b", SECRET, "b")
    assert (c.account.name, c.account.client_secret) == ("acme/c", SECRET)
    assert (b.limits.requests_per_minute, b.limits.requests_per_day) == (90, 500)
    assert (c.limits.requests_per_minute, c.limits.requests_per_day) == (30, 0)
    assert b.account.agent_id == "an-agent"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("accounts: [", "cannot be read: "),
        ("b", "must hold one mapping named accounts"),
        ("accounts: {}", "must hold one mapping named accounts"),
        ({"accounts": {"b": B}, "keys": []}, "must hold one mapping named accounts"),
        ({"accounts": {"a b": B}}, "'a b' is not a name of an account"),
        ({"accounts": {7: B}}, "'7' is not a name of an account"),
        ({"accounts": {"default": B}}, "accounts.default: this name is that of the account of CLIENT_ID"),
        ({"accounts": {"b": [B]}}, "accounts.b must be a mapping"),
        ({"accounts": {"b": {**B, "client_key": SECRET}}}, "accounts.b.client_key is not a field of an account: did you"),
        ({"accounts": {"b": without("client_id")}}, "accounts.b needs a client_id"),
        ({"accounts": {"b": without("realm")}}, "accounts.b needs a realm"),
        ({"accounts": {"b": without("client_secret")}}, "accounts.b needs either a client_secret or a client_secret_file"),
        ({"accounts": {"b": {**B, "client_secret_file": "x"}}}, "needs either a client_secret or a client_secret_file"),
        ({"accounts": {"b": {**without("client_secret"), "client_secret_file": "missing"}}}, "(FileNotFoundError)"),
        ({"accounts": {"b": {**without("client_secret"), "client_secret_file": "empty"}}}, "names is empty: write"),
        ({"accounts": {"b": {**B, "client_secret": 12345}}}, "accounts.b.client_secret must be a text. Put it in quotes"),
        ({"accounts": {"b": {**B, "requests_per_minute": -1}}}, "requests_per_minute must be a whole number"),
        ({"accounts": {"b": {**B, "requests_per_day": True}}}, "requests_per_day must be a whole number"),
        ({"accounts": {"b": B, "c": B}}, "accounts.c has the client_id of the account 'b'"),
        ({"accounts": {"b": {**B, "client_id": "own-client"}}}, "has the client_id of the account 'default'"),
        # A client key at a wrong place is not shown.
        (f"accounts: {{b: {{client_id: x, client_secret:{SECRET}, realm: y}}}}", "b.client_secret has no value: write a"),
        (f"accounts:\n  b:\n    client_id: x\n    client_secret:{SECRET}\n    realm: y", "cannot be read: ScannerError"),
        (f"accounts: {{client_secret:{SECRET}: {{}}}}", "'client_secret' is not a name of an account"),
        (f"accounts: {{b: {{key={SECRET}: x}}}}", "b.key is not a field of an account: the fields are"),
        (f"accounts: {{b: {{{SECRET}7: x}}}}", "accounts.b has a field that is none"),
        ({"accounts": {"b": {**without("client_secret"), "client_secret_file": SECRET}}}, "b.client_secret_file names cannot"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_an_error_that_names_the_fault(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigurationError) as raised:
        read_accounts(settings_with(tmp_path, content))
    assert message in raised.value.message
    assert "STACKSPOT_ACCOUNTS_FILE" in raised.value.message
    assert SECRET not in raised.value.message
    assert "12345" not in raised.value.message


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    settings = Settings(account=OWN).changed(account={"accounts_file": str(tmp_path / "none.yaml")})
    with pytest.raises(ConfigurationError, match="cannot be read: FileNotFoundError"):
        read_accounts(settings)


@pytest.mark.parametrize(
    ("given", "known", "cure"),
    [
        ("team-c", ("default", "team-b"), "did you mean team-b?"),
        ("x", ("default", "team-b"), "STACKSPOT_ACCOUNTS_FILE has default, team-b."),
        ("team-b", ("default",), "set STACKSPOT_ACCOUNTS_FILE to the file that has it."),
        (7, ("default", "team-b"), "STACKSPOT_ACCOUNTS_FILE has"),
        ("", ("default", "team-b"), "STACKSPOT_ACCOUNTS_FILE has"),
    ],
)
def test_an_unknown_account_of_a_model_is_an_error(given: Any, known: tuple[str, ...], cure: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        choose_account({"account": given}, dict.fromkeys(known, Settings()))
    assert raised.value.message.startswith(f"model_info.account is {str(given)!r} in config.yaml")
    assert cure in raised.value.message


# Two accounts of one provider, against the simulator.

OTHER = {"realm": "acme", "client_id": "client-of-b", "client_secret": SECRET}
HELLO = [{"role": "user", "content": "Oi"}]
FILE = [{"type": "file", "file": {"file_data": "JVBERi0xLjQK"}}]


@pytest.fixture
def two(settings: Settings, simulator: Any, tmp_path: Path) -> StackspotLLM:
    simulator.configure(more_accounts=[OTHER])
    return StackspotLLM(with_file(settings, tmp_path))


def with_file(settings: Settings, folder: Path, **account: Any) -> Settings:
    file = folder / "accounts.yaml"
    file.write_text(yaml.safe_dump({"accounts": {"b": OTHER | account}}))
    return settings.changed(account={"accounts_file": str(file)})


def ask(provider: StackspotLLM, account: str | None, messages: Any = HELLO, **params: Any) -> str:
    info = {} if account is None else {"account": account}
    call = {"litellm_params": {"model_info": info | params.pop("model_info", {}), **params}}
    return str(provider.completion("stackspot-chat", messages, **call).choices[0].message.content)


def asked(simulator: Any) -> list[str]:
    return [request["account"] for request in simulator.requests("chat")]


def test_each_account_asks_with_its_own_token(two: StackspotLLM, simulator: Any) -> None:
    for account in (None, "b", "default", "b"):
        ask(two, account)
    assert asked(simulator) == ["simulator", "client-of-b", "simulator", "client-of-b"]
    assert Counter(request["account"] for request in simulator.requests("token")) == {"simulator": 1, "client-of-b": 1}


def test_a_request_with_an_unknown_account_asks_nobody(two: StackspotLLM, simulator: Any) -> None:
    with pytest.raises(Exception, match=r"model_info.account is 'c'"):
        ask(two, "c")
    assert asked(simulator) == []


def test_a_429_pauses_one_account_only(settings: Settings, simulator: Any, tmp_path: Path) -> None:
    simulator.configure(more_accounts=[OTHER])
    limits = {"requests_per_minute": 5, "queue_timeout": 0.01}
    provider = StackspotLLM(with_file(settings, tmp_path, requests_per_minute=3).changed(limits=limits))
    simulator.script({"status": 429, "headers": {"retry-after": "50"}})
    for _ in range(2):  # the agent's own 429, then that of the queue
        with pytest.raises(Exception, match=r"429|try again|used up"):
            ask(provider, None)
    for _ in range(3):
        ask(provider, "b")
    own, other = provider.quotas().values()
    assert asked(simulator) == ["simulator", *["client-of-b"] * 3]
    assert (own.usage.used, other.usage.used) == (1, 3)
    assert own.pause > 0 == other.pause
    assert other.limits == Limits(3, 0)


def test_a_file_is_uploaded_for_each_account(settings: Settings, simulator: Any, tmp_path: Path) -> None:
    simulator.configure(more_accounts=[OTHER])
    provider = StackspotLLM(with_file(settings, tmp_path).changed(uploads={"enabled": True}))
    messages = [{"role": "user", "content": FILE}]
    for account in (None, "b", None, "b"):
        ask(provider, account, messages)  # the simulator refuses a file of another account
    assert [request["account"] for request in simulator.requests("upload")] == ["simulator", "client-of-b"]


def test_a_kept_conversation_goes_on_with_its_own_account_only(two: StackspotLLM, simulator: Any) -> None:
    simulator.script({"text": "Olá", "times": "always"})
    native = {"model_info": {"conversation": "native"}, "metadata": {"headers": {"correlation-id": "c-1"}}}
    ask(two, "b", **native)
    turn = [*HELLO, {"role": "assistant", "content": "Olá"}, {"role": "user", "content": "E agora?"}]
    for account in (None, "b"):
        ask(two, account, turn, **native)
    first, elsewhere, continued = simulator.requests("chat")
    assert elsewhere["body"]["conversation_id"] != first["body"]["conversation_id"]
    assert "Oi" in elsewhere["prompt"]
    assert continued["account"] == "client-of-b"
    assert "Oi" not in continued["prompt"]


def test_measurements_have_the_name_of_their_account(two: StackspotLLM) -> None:
    measured: list[Measurement] = []
    two.hooks.add(measured.append)
    for account in (None, "b"):
        ask(two, account)

    def accounts_of(kind: type[Measurement]) -> list[str]:
        return [one.account for one in measured if isinstance(one, kind)]

    eventually(lambda: len(accounts_of(TokenCall)) == 2)  # a thread measures it when the token is there already
    assert sorted(accounts_of(TokenCall)) == ["b", "default"]
    assert accounts_of(RequestCounted) == ["default", "b"]


def test_a_new_client_key_in_the_file_is_read_without_a_restart(
    settings: Settings, simulator: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = StackspotLLM(with_file(settings, tmp_path, client_secret="an-old-key"))
    simulator.configure(more_accounts=[OTHER])
    with_file(settings, tmp_path)
    ask(provider, "b")
    assert asked(simulator) == ["client-of-b"]
    assert SECRET not in caplog.text
    assert "an-old-key" not in caplog.text


@pytest.mark.parametrize("faulty", [{"c": [B]}, {"c": {"realm": "x"}}, {"not a name": B | {"client_id": "c"}}])
def test_a_new_client_key_is_read_beside_a_faulty_entry(
    settings: Settings, simulator: Any, tmp_path: Path, faulty: dict[str, Any]
) -> None:
    provider = StackspotLLM(with_file(settings, tmp_path, client_secret="an-old-key"))
    simulator.configure(more_accounts=[OTHER])
    (tmp_path / "accounts.yaml").write_text(yaml.safe_dump({"accounts": faulty | {"b": OTHER}}))
    ask(provider, "b")
    assert asked(simulator) == ["client-of-b"]


def test_no_new_credentials_are_those_of_another_account(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, {"accounts": {"b": B}})
    reload = account_reloader(settings, "b")
    assert reload().client_secret == SECRET
    for other in ({"b": B | {"client_id": "own-client"}}, {"b": B, "c": B}, {"c": B}):
        settings_with(tmp_path, {"accounts": other})
        with pytest.raises(ConfigurationError, match=r"has the client_id of the account|is missing: add it"):
            reload()


def test_refused_credentials_name_the_account(two: StackspotLLM, simulator: Any) -> None:
    simulator.configure(more_accounts=[OTHER | {"client_secret": "another"}])
    with pytest.raises(Exception, match="refuses the credentials that the account 'b' has in STACKSPOT_ACCOUNTS_FILE"):
        ask(two, "b")
    ask(two, None)
    assert asked(simulator) == ["simulator"]


def test_the_quota_of_all_accounts_is_the_sum() -> None:
    ana = Caller("ana")
    one, other = (
        Quota(Limits(90, 0), Usage(2, 5, {ana: 2}), 8.0),
        Quota(Limits(60, 10), Usage(1, 1, {ana: 1}, {ana: 4})),
    )
    assert total_quota([one, other]) == Quota(Limits(150, 0), Usage(3, 6, {ana: 3}, {ana: 4}), 0.0)
    assert total_quota([one]) == one


@pytest.mark.slow
def test_accounts_share_nothing_in_redis(settings: Settings, simulator: Any, tmp_path: Path) -> None:
    simulator.configure(more_accounts=[OTHER])
    with running_redis(tmp_path) as server:
        shared = with_file(settings, tmp_path, requests_per_minute=7).changed(
            limits={"requests_per_minute": 5}, redis={"url": server.url}
        )
        first, second = StackspotLLM(shared), StackspotLLM(shared)
        for provider in (first, second):
            ask(provider, "b")
        ask(first, None)
        told = {name: (quota.usage.used, quota.limits.per_minute) for name, quota in second.quotas().items()}
    assert told == {"default": (1, 5), "b": (2, 7)}
