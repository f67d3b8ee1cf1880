"""Accounts of STACKSPOT_ACCOUNTS_FILE, as `check`, `run` and the start see them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml

from custom_handler.checks.accounts import accounts_file_faults, check_accounts
from custom_handler.checks.models import check_configuration, faults
from custom_handler.cli.run.preflight import require_startable
from custom_handler.errors import ConfigurationError, CredentialsRefused
from custom_handler.proxy.config import read_config
from custom_handler.settings import AccountSettings, Settings

B = {"client_id": "b", "client_secret": "s", "realm": "acme"}
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def settings_with(folder: Path, **account: object) -> Settings:
    file = folder / "accounts.yaml"
    file.write_text(yaml.safe_dump({"accounts": {"team-b": {**B, **account}}}))
    return Settings(account=AccountSettings(accounts_file=str(file)))


def config(account: str | None) -> dict[str, object]:
    info = {} if account is None else {"model_info": {"account": account}}
    return {"model_list": [{"model_name": "a", "litellm_params": {"model": f"stackspot/{AGENT}"}, **info}],
            "litellm_settings": {"custom_provider_map": [{"provider": "stackspot", "custom_handler": "x"}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("account", "fault"),
    [("team-b", ""), ("team-x", "did you mean team-b?"), (None, "StackSpot is not configured")],
)
def test_the_start_checks_the_account_of_each_model(tmp_path: Path, account: str | None, fault: str) -> None:
    [found] = check_configuration(config(account), settings_with(tmp_path))
    assert (found.fault is None) == (not fault)
    assert fault in str(found.fault)


def test_the_examples_have_no_fault() -> None:
    account = AccountSettings(
        client_id="a", client_secret="s", realm="acme", agent_id=AGENT, accounts_file=str(EXAMPLES / "accounts.yaml")
    )
    settings = Settings(account=account)
    assert accounts_file_faults(settings) == []
    assert faults(check_configuration(read_config(EXAMPLES / "two_accounts.yaml"), settings)) == []


async def test_each_account_with_credentials_is_asked_for_a_token(tmp_path: Path) -> None:
    asked: list[str] = []

    def authenticate(_: float, account: str) -> None:
        asked.append(account)
        raise CredentialsRefused("refused")

    [row] = await check_accounts(settings_with(tmp_path), authenticate)
    assert asked == ["team-b"]
    assert (row.name, row.realm, row.requests_per_minute, row.state, row.fault) == (
        "team-b", "acme", 90, "fault", "refused",
    )  # fmt: skip
    assert await check_accounts(Settings(), authenticate) == []


def test_faults_of_the_file_and_a_limit_above_the_platforms_are_found(tmp_path: Path) -> None:
    [limit] = accounts_file_faults(settings_with(tmp_path, requests_per_minute=500))
    assert limit.message.startswith("STACKSPOT_ACCOUNTS_FILE, accounts.team-b.requests_per_minute is 500")
    [unreadable] = accounts_file_faults(settings_with(tmp_path, realm=""))
    assert (unreadable.where, "needs a realm" in unreadable.message) == ("STACKSPOT_ACCOUNTS_FILE", True)


@pytest.mark.parametrize(
    ("account", "fault"), [("team-x", "a: model_info.account is 'team-x'"), (None, "CLIENT_ID, CLIENT_SECRET, REALM")]
)
def test_run_starts_no_simulator_beside_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: str | None, fault: str
) -> None:
    settings = settings_with(tmp_path)
    monkeypatch.setattr(Settings, "load", lambda: settings)
    file = tmp_path / "config.yaml"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    file.write_text(yaml.safe_dump(config(account)))
    with pytest.raises(ConfigurationError, match=fault):
        require_startable("127.0.0.1", port, file)
    file.write_text(yaml.safe_dump(config("team-b")))
    assert require_startable("127.0.0.1", port, file).missing() == ()
