"""The settings, from a mapping and from the process with its `.env`."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

from custom_handler.errors import ConfigurationError
from custom_handler.setting_fields import parse
from custom_handler.settings import AccountSettings, Settings, all_fields

NAMES = {
    "client_id": "CLIENT_ID",
    "client_secret": "CLIENT_SECRET",
    "realm": "REALM",
    "agent_id": "GENAI_AGENT_ID",
    "idm_url": "IDM_URL",
    "inference_url": "INFERENCE_URL",
    "log_level": "LOG_LEVEL",
}
WITH_PREFIX_ONLY = {"idm_url", "inference_url", "log_level"}


@pytest.fixture
def empty_environment(monkeypatch, tmp_path):
    """A process in an empty folder that was given no setting."""
    for name in NAMES.values():
        for prefix in ("", "STACKSPOT_"):
            monkeypatch.setenv(prefix + name, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("field", NAMES)
def test_every_name_is_found_with_the_prefix(field):
    value = "error" if field == "log_level" else "value"
    settings = Settings.from_mapping({f"STACKSPOT_{NAMES[field]}": value})
    assert getattr(settings.proxy if field == "log_level" else settings.account, field) == value


@pytest.mark.parametrize("field", sorted(NAMES.keys() - WITH_PREFIX_ONLY))
def test_the_names_of_the_account_are_found_without_the_prefix(field):
    assert getattr(Settings.from_mapping({NAMES[field]: "value"}).account, field) == "value"


def test_the_name_with_the_prefix_wins():
    assert Settings.from_mapping({"REALM": "plain", "STACKSPOT_REALM": "prefixed"}).account.realm == "prefixed"


def test_an_empty_name_with_the_prefix_does_not_win():
    assert Settings.from_mapping({"REALM": "plain", "STACKSPOT_REALM": " \n"}).account.realm == "plain"


@pytest.mark.parametrize("value", ["secret", " secret", "secret\n", "\t secret \r\n"])
def test_blanks_and_newlines_around_a_value_are_removed(value):
    assert Settings.from_mapping({"CLIENT_SECRET": value}).account.client_secret == "secret"


def test_a_value_is_not_changed_inside():
    assert Settings.from_mapping({"CLIENT_SECRET": "a&b+c% d"}).account.client_secret == "a&b+c% d"


def test_an_address_loses_its_last_slash():
    assert Settings.from_mapping({"STACKSPOT_IDM_URL": "http://idm/"}).account.idm_url == "http://idm"


def test_without_settings_the_hosts_are_those_of_the_platform():
    settings = Settings.from_mapping({})
    assert (settings.account.idm_url, settings.account.inference_url) == (
        "https://idm.stackspot.com",
        "https://genai-inference-app.stackspot.com",
    )
    assert (settings.requests.require_correlation_id, settings.limits.timeout) == (False, 600.0)


def test_there_is_no_default_realm():
    assert Settings.from_mapping({"CLIENT_ID": "a", "CLIENT_SECRET": "b"}).account.missing() == ("REALM",)


def test_missing_credentials_are_an_error_that_names_them():
    with pytest.raises(ConfigurationError) as raised:
        AccountSettings(realm="acme").require_credentials()
    assert "CLIENT_ID, CLIENT_SECRET" in raised.value.message
    assert "REALM" not in raised.value.message
    assert ".env" in raised.value.message


def test_complete_credentials_pass():
    account = AccountSettings(client_id="a", client_secret="b", realm="c")
    account.require_credentials()
    assert account.missing() == ()


def test_the_secret_does_not_show_in_the_representation():
    shown = repr(Settings(account=AccountSettings(client_id="visible", client_secret="hidden")))
    assert "visible" in shown
    assert "hidden" not in shown


@pytest.mark.parametrize("raw", ["true", "TRUE", "1", "yes", " on\n"])
def test_a_switch_is_on_in_the_usual_spellings(raw):
    assert Settings.from_mapping({"STACKSPOT_REQUIRE_CORRELATION_ID": raw}).requests.require_correlation_id is True


@pytest.mark.parametrize("raw", ["false", "0", "No", "off", ""])
def test_a_switch_is_off_in_the_usual_spellings(raw):
    assert Settings.from_mapping({"STACKSPOT_REQUIRE_CORRELATION_ID": raw}).requests.require_correlation_id is False


def test_an_invalid_switch_is_an_error_that_names_it():
    with pytest.raises(ConfigurationError, match="STACKSPOT_REQUIRE_CORRELATION_ID is 'perhaps'"):
        Settings.from_mapping({"STACKSPOT_REQUIRE_CORRELATION_ID": "perhaps"})


@pytest.mark.parametrize("raw", ["soon", "0", "-1", "nan", "inf", "10s"])
def test_invalid_seconds_are_an_error_that_names_them(raw):
    with pytest.raises(ConfigurationError, match=f"STACKSPOT_TIMEOUT is '{raw}'"):
        Settings.from_mapping({"STACKSPOT_TIMEOUT": raw})


def test_seconds_may_have_a_fraction():
    assert Settings.from_mapping({"STACKSPOT_TIMEOUT": "2.5"}).limits.timeout == 2.5


def test_dotenv_fills_what_the_environment_leaves_out(empty_environment, monkeypatch):
    (empty_environment / ".env").write_text('REALM="from-file"\nCLIENT_ID=from-file\nCLIENT_SECRET\n', encoding="utf-8")
    monkeypatch.setenv("CLIENT_ID", "from-environment")
    account = Settings.load().account
    assert (account.realm, account.client_id, account.client_secret) == ("from-file", "from-environment", "")


def test_a_blank_in_the_environment_does_not_hide_dotenv(empty_environment, monkeypatch):
    (empty_environment / ".env").write_text("REALM=from-file\n", encoding="utf-8")
    monkeypatch.setenv("REALM", " ")
    assert Settings.load().account.realm == "from-file"


def test_dotenv_of_another_folder_can_be_named(empty_environment):
    (empty_environment / "there").mkdir()
    (empty_environment / "there" / ".env").write_text("REALM=there\n", encoding="utf-8")
    assert (Settings.load(empty_environment / "there").account.realm, Settings.load().account.realm) == ("there", "")


@pytest.fixture
def folder_of_config(empty_environment, monkeypatch):
    """The folder of the config.yaml of a proxy that starts, which is not the working directory."""
    folder = empty_environment / "there"
    folder.mkdir()
    proxy = SimpleNamespace(user_config_file_path=str(folder / "config.yaml"))
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", proxy)
    return folder


def test_dotenv_of_the_working_directory_precedes_config_yamls(empty_environment, folder_of_config):
    (empty_environment / ".env").write_text("REALM=here\n", encoding="utf-8")
    (folder_of_config / ".env").write_text("REALM=there\nCLIENT_ID=there\n", encoding="utf-8")
    settings = Settings.load()
    assert (settings.account.realm, settings.account.client_id) == ("here", "there")


def test_a_new_secret_beside_config_yaml_is_read_again(folder_of_config, monkeypatch):
    (folder_of_config / ".env").write_text("CLIENT_SECRET=old\n", encoding="utf-8")
    monkeypatch.setenv("CLIENT_SECRET", "old")  # as the plugin does with what it finds in .env
    reload = Settings.account_reloader()
    (folder_of_config / ".env").write_text("CLIENT_SECRET=new\n", encoding="utf-8")
    assert reload().client_secret == "new"


def test_the_first_source_with_a_secret_or_its_file_wins(tmp_path):
    file = tmp_path / "secret"
    file.write_text("of the file", encoding="utf-8")
    first, second = {"CLIENT_SECRET_FILE": str(file)}, {"CLIENT_SECRET": "itself"}
    assert Settings.from_mapping(first, second).account.client_secret == "of the file"
    assert Settings.from_mapping({}, second, first).account.client_secret == "itself"


def test_a_reload_overrides_only_values_from_dotenv(empty_environment, monkeypatch):
    file = empty_environment / ".env"
    file.write_text("REALM=old\nCLIENT_ID=old\n", encoding="utf-8")
    monkeypatch.setenv("REALM", "old")  # as the proxy does with what it finds in .env
    monkeypatch.setenv("CLIENT_ID", "own")
    reload = Settings.account_reloader()
    file.write_text("REALM=new\nCLIENT_ID=new\nCLIENT_SECRET=new\n", encoding="utf-8")
    account = reload()
    assert (account.realm, account.client_id, account.client_secret) == ("new", "own", "new")


def test_the_environment_wins_over_a_prefixed_name_in_dotenv(empty_environment, monkeypatch):
    (empty_environment / ".env").write_text("STACKSPOT_REALM=from-file\n", encoding="utf-8")
    monkeypatch.setenv("REALM", "from-environment")
    assert Settings.load().account.realm == "from-environment"


def test_the_services_are_on_by_default_with_limits():
    services = Settings.from_mapping({}).services
    assert (services.enabled, services.default_model) == (True, "stackspot-chat")
    assert (services.session_turns, services.session_bytes, services.message_bytes) == (20, 100_000, 262_144)
    assert Settings.from_mapping({"STACKSPOT_SERVICES": "off"}).services.enabled is False


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "²"])
def test_a_count_is_a_whole_number_above_zero(value):
    with pytest.raises(ConfigurationError, match=r"STACKSPOT_SESSION_TURNS .*: give a whole number above zero"):
        Settings.from_mapping({"STACKSPOT_SESSION_TURNS": value})


def test_a_count_is_read():
    assert Settings.from_mapping({"STACKSPOT_SESSION_TURNS": "3"}).services.session_turns == 3


def test_the_settings_of_jobs_are_read():
    given = {
        "JOBS": "off",
        "JOBS_WORK_HERE": "no",
        "JOBS_WORKERS": "2",
        "JOBS_LEASE": "1.5",
        "REDIS_URL": "redis://:pw@h/0",
    }
    read = Settings.from_mapping(given)
    jobs = read.jobs
    assert (jobs.enabled, jobs.work_here, jobs.workers, jobs.lease) == (False, False, 2, 1.5)
    assert read.redis.url == "redis://:pw@h/0"
    assert "pw" not in repr(read)


def test_the_client_key_may_be_in_a_file(tmp_path):
    (tmp_path / "key").write_text(" from-file\n", encoding="utf-8")
    file = {"CLIENT_SECRET_FILE": str(tmp_path / "key")}
    assert Settings.from_mapping(file).account.client_secret == "from-file"
    assert Settings.from_mapping({**file, "CLIENT_SECRET": "given"}).account.client_secret == "given"


def test_an_unreadable_client_key_file_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="CLIENT_SECRET_FILE names cannot be read"):
        Settings.from_mapping({"CLIENT_SECRET_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize(
    ("name", "field"), [("REQUESTS_PER_MINUTE", "requests_per_minute"), ("MAX_RETRIES", "max_retries")]
)
def test_a_limit_may_be_switched_off(name, field):
    assert getattr(Settings.from_mapping({f"STACKSPOT_{name}": "0"}).limits, field) == 0
    with pytest.raises(ConfigurationError, match=f"STACKSPOT_{name} is '-1': give a whole number"):
        Settings.from_mapping({f"STACKSPOT_{name}": "-1"})


def test_a_setting_that_means_something_by_zero_may_be_zero():
    said = [item for item in all_fields() if re.search(r"`0`|\b0 (keeps|to)\b", item.metadata["meaning"])]
    assert len(said) >= 5
    for item in said:
        assert parse(item, "0") == 0


def test_max_concurrency_cannot_be_zero():
    with pytest.raises(ConfigurationError, match="STACKSPOT_MAX_CONCURRENCY is '0': give a whole number above zero"):
        Settings.from_mapping({"STACKSPOT_MAX_CONCURRENCY": "0"})
