"""docs/upgrading.md: what it calls new is there, and what it calls old is gone."""

from __future__ import annotations

import importlib
import re
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import custom_handler
from custom_handler.proxy.middleware import error_bodies
from custom_handler.settings import Settings, all_fields
from custom_handler.telemetry import call_record
from custom_handler.telemetry.prometheus import ProviderMetrics

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
SETTINGS = {item.metadata["name"]: item for item in all_fields()}


def table(heading: str) -> list[list[list[str]]]:
    """The rows of the table below a heading; of each cell, what is in backquotes."""
    section = re.search(rf"^### {heading}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[re.findall("`([^`]+)`", cell) for cell in line.strip("|").split(" | ")] for line in lines]


def resolved(name: str) -> Any:
    """The module, or the attribute of one, that a dotted name means."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize(("name", "new", "before"), [(row[0][0], row[2][0], row[3]) for row in table("Settings")])
def test_a_setting_has_the_default_that_is_new_and_takes_the_value_of_before(name, new, before):
    assert float(SETTINGS[name].default) == float(new) if new.isdigit() else str(SETTINGS[name].default).lower() == new
    for assignment in before:
        assert assignment.startswith(f"{name}=")
        Settings.from_mapping(dict([assignment.split("=")]))


@pytest.mark.parametrize("old_and_new", table("Error texts"), ids=lambda row: row[1][0])
def test_an_error_has_its_new_text_and_no_longer_the_old(old_and_new):
    [old], [new] = old_and_new
    assert f"| `{new}`" in ERRORS
    assert f"| `{old}`" not in ERRORS


@pytest.mark.parametrize("old_and_new", table("Python"), ids=lambda row: row[1][0])
def test_a_module_is_at_its_new_place_and_no_longer_at_the_old(old_and_new):
    for old, new in zip(*old_and_new, strict=True):
        root, _, path = new.partition(".")
        if root == "settings":
            settings = Settings.from_mapping({})
            assert attrgetter(path)(settings) is not None
            assert not hasattr(settings, old.partition(".")[2])
        else:
            assert resolved(new) is not None
            with pytest.raises((ModuleNotFoundError, AttributeError)):
                resolved(old)


def test_what_config_yaml_names_is_where_it_was():
    named = re.findall(r"custom_handler\.(\w+)`", PAGE)
    assert {"stackspot_llm", "plugin", "authenticate_key", "StackspotLLM"} <= {*named} & {*custom_handler.__all__}


def test_the_metrics_the_fields_and_the_errors_that_are_named_are_there():
    rows = {row[0][0]: row for row in table("Metrics, logs and commands") if row[0]}
    [metrics] = [row[0] for row in rows.values() if "stackspot_retries_total" in row[0]]
    ProviderMetrics(registry := CollectorRegistry())
    assert {*metrics} <= {
        name for name, one in registry._names_to_collectors.items() if "account" in getattr(one, "_labelnames", ())
    }
    assert [name for name in rows["interactions.jsonl"][1] if name not in call_record._line.__code__.co_consts] == []
    assert f"`{error_bodies.MESSAGE}`" in PAGE
    assert {"model_disabled", "ContentPolicyViolationError"} <= {*re.findall(r"`(\w+)`", PAGE)} & {
        *re.findall(r"`(\w+)`", ERRORS)
    }


def test_the_versions_of_litellm_and_of_the_hosts_are_those_of_the_code():
    pinned = re.search(r"^litellm\[proxy\]==([\d.]+)$", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)[1]
    assert f"The pinned LiteLLM is {pinned} " in PAGE
    account = Settings.from_mapping({}).account
    hosts = {account.agents_url.removeprefix("https://"), account.quick_commands_url.removeprefix("https://")}
    assert {*re.findall(r"`([\w-]+\.stackspot\.com)`", PAGE)} == hosts


def test_the_forms_of_answers_that_are_new_are_written():
    forms = (ROOT / "custom_handler" / "proxy" / "middleware" / "published_form.py").read_text(encoding="utf-8")
    new = {name for row in table("Answers") for name in row[2]}
    assert {"response.custom_tool_call_input.delta", "choices: []", "stop_reason: stop_sequence"} <= new
    assert "response.custom_tool_call_input.delta" in forms
    assert "stop_sequence" in forms
