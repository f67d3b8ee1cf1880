"""Prometheus' configuration and alerts, and the dashboard's queries, by Prometheus' own tool."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from custom_handler import errors
from custom_handler.telemetry.prometheus import HttpMetrics, ProviderMetrics, ResponseMetrics
from tests.support.processes import program

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "deploy" / "grafana" / "dashboards" / "stackspot.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]


def promtool(*arguments: str | Path) -> None:
    command = [program("promtool", "prometheus"), *arguments]
    told = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.slow
def test_prometheus_takes_its_configuration():
    promtool("check", "config", "--syntax-only", "prometheus.yml")


@pytest.mark.slow
def test_each_alert_fires_for_its_fault_and_none_when_all_is_well():
    promtool("test", "rules", "alerts_test.yml")


def test_no_alert_is_without_its_test_and_its_line_in_the_documentation():
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    names = {rule["alert"] for rule in group["rules"]}
    tested = set(re.findall(r'alertname="(\w+)"', (PROMETHEUS / "alerts_test.yml").read_text(encoding="utf-8")))
    told = set(
        re.findall(r"^\| `(Stackspot\w+)`", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert names == tested == told


def test_prometheus_understands_each_query_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    promtool("check", "rules", file)


def test_panels_do_not_cover_each_other():
    places = [panel["gridPos"] for panel in PANELS]
    taken = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)


# What an operator looks for, and the panel that shows it.
SHOWN = {
    "Agents as models": {"stackspot_agents_listed", "stackspot_agents_refreshes"},
    "Answers from knowledge sources, web searches": {"stackspot_knowledge_answers", "stackspot_web_searches"},
    "Answers that broke off": {"stackspot_resumed_streams"},
    "Cached answers": {"stackspot_cache_lookups"},
    "Conversations that the platform keeps": {"stackspot_kept_conversations"},
    "Cost of calls, and requests refused for their budget": {"stackspot_budget_refusals"},
    "Kept responses": {"stackspot_stored_responses"},
    "Quick Commands": {"stackspot_quick_commands", "stackspot_quick_command_polls"},
    "Quota: requests a minute by API key": {"stackspot_requests", "stackspot_requests_limit"},
    "Quota: requests in 24 hours by API key": {"stackspot_requests", "stackspot_requests_day_limit"},
    "Spend of API keys, of their budget": {"stackspot_key_spend_usd", "stackspot_key_budget_usd"},
}


def exported() -> dict[str, set[str]]:
    """The metrics that the package exports, each with its labels."""
    registry = CollectorRegistry()
    made = [kind(registry) for kind in (HttpMetrics, ProviderMetrics, ResponseMetrics)]
    attributes = [value for one in made for value in vars(one).values()]
    values = [metric for value in attributes for metric in (value.values() if isinstance(value, dict) else [value])]
    found = {metric._name: {*metric._labelnames} for metric in values}
    assert found.keys() == {family.name for family in registry.collect()}
    return found


def asked(panel: dict[str, Any]) -> dict[str, set[str]]:
    """The metrics of the package that a panel asks for, each with the labels by which it matches or groups."""
    found: dict[str, set[str]] = {}
    for target in panel["targets"]:
        by = {label for labels in re.findall(r"\bby \((.*?)\)", target["expr"]) for label in labels.split(", ")}
        for name, matched in re.findall(r"\b((?:stackspot|http)_\w+)(?:\{(.*?)\})?", target["expr"]):
            labels = by | set(re.findall(r'(\w+)=~?"', matched))
            found.setdefault(re.sub("_(total|bucket|sum|count)$", "", name), set()).update(labels - {"le"})
    return found


def test_the_panels_show_what_is_promised_and_ask_for_what_is_exported():
    panels = {panel["title"]: asked(panel) for panel in PANELS}
    assert {title: panels[title].keys() & metrics for title, metrics in SHOWN.items()} == SHOWN
    known = exported()
    unknown = [
        (title, name, labels)
        for title, metrics in panels.items()
        for name, labels in metrics.items()
        if not labels <= known.get(name, set())
    ]
    assert unknown == []


def test_no_metric_is_without_a_panel():
    shown = {name for panel in PANELS for name in asked(panel)}
    assert exported().keys() - shown == set()


def test_the_dashboard_asks_the_source_that_is_provisioned():
    file = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]
    asking = [*PANELS, *DASHBOARD["templating"]["list"]]
    assert {one["datasource"]["uid"] for one in asking} == {source["uid"]}


def test_the_dashboard_shows_one_account_or_all():
    registry = CollectorRegistry()
    ProviderMetrics(registry, ["default", "team-b"])
    known = {sample.labels["account"] for family in registry.collect() for sample in family.samples if sample.labels}
    [variable] = DASHBOARD["templating"]["list"]
    asked = re.fullmatch(r"label_values\((\w+), account\)", variable["definition"])
    assert asked is not None
    assert registry.get_sample_value(asked[1], {"account": "team-b"}) == 0  # so each is known from the start
    assert (known, variable["includeAll"], variable["allValue"]) == ({"default", "team-b"}, True, ".*")
    of_accounts = "|".join(
        family.name for family in registry.collect() if not re.match(r"stackspot_(key|budget)_", family.name)
    )
    without = [
        query
        for query in QUERIES
        if re.search(rf"\b(?:{of_accounts})(?:_[a-z]+)?\b(?!{{account=~\"\$account\")", query)
    ]
    assert without == []


def test_reasons_that_are_asked_for_are_errors():
    asked = re.findall(r'reason="(\w+)"', (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
    assert asked
    assert all(issubclass(getattr(errors, name), errors.StackspotError) for name in asked)
