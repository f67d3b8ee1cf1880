"""LiteLLM's Prometheus callback with and without the shortcuts: the same labels and gauges."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.types.integrations.prometheus import UserAPIKeyLabelValues
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics import MetricWrapperBase

from custom_handler.telemetry import prometheus_shortcuts
from custom_handler.telemetry.prometheus_shortcuts import (
    describe_labels_once,
    keeps_children,
    known_children,
    only_for_limits,
    quick_labels,
)

LIMIT = {"x-ratelimit-api_key-limit-requests": 10}
OPENAI = {"x-ratelimit-remaining-requests": 10, "x-ratelimit-limit-tokens": 1, "llm_provider-x-ratelimit-a": 1}


def values(quick: bool, **given: Any) -> Any:
    # A test of the plugin in this process may have installed the shortcuts.
    init = quick_labels(UserAPIKeyLabelValues)[0] if quick else inspect.unwrap(UserAPIKeyLabelValues.__init__)
    made = object.__new__(UserAPIKeyLabelValues)
    init(made, **given)
    return made


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model": "a", "team": None, "tags": ["x", "y"], "status_code": "200"},
        {"custom_metadata_labels": {"a": "b"}, "stream": True},
        {"api_key_hash": "h", "unknown": 1},
        {"api_key_hash": "h", "hashed_api_key": "other"},
    ],
)
def test_quick_labels_are_the_original_ones(given: dict[str, Any]) -> None:
    slow, quick = values(False, **given), values(True, **given)
    assert quick == slow
    dumped = quick_labels(UserAPIKeyLabelValues)[1](quick)
    assert list(dumped.items()) == list(inspect.unwrap(UserAPIKeyLabelValues.model_dump)(slow).items())
    assert vars(quick).keys() == vars(slow).keys()


def test_values_of_two_requests_share_nothing() -> None:
    first = values(True)
    assert first.custom_metadata_labels is not values(True).custom_metadata_labels
    dump = quick_labels(UserAPIKeyLabelValues)[1]
    dump(first)["tags"].append("x")  # type: ignore[attr-defined]
    assert dump(first)["tags"] == []


def payload(headers: dict[str, int] | None) -> dict[str, Any]:
    return {"hidden_params": {"additional_headers": headers}}


@pytest.mark.parametrize("without", [{}, {"hidden_params": None}, payload(None), payload({}), payload(OPENAI)])
def test_gauges_of_limits_are_set_for_limits_only(without: dict[str, Any]) -> None:
    calls: list[Any] = []

    def original(_: Any, standard_logging_payload: Any, enum_values: Any) -> None:
        calls.append((standard_logging_payload, enum_values))

    set_gauges, logger = only_for_limits(original), SimpleNamespace()
    set_gauges(logger, standard_logging_payload=without, enum_values=1)
    assert calls == []
    set_gauges(logger, standard_logging_payload=payload(LIMIT), enum_values=2)
    set_gauges(logger, standard_logging_payload=without, enum_values=3)  # which removes what 2 has set
    assert calls == [(payload(LIMIT), 2), (without, 3)]


@dataclasses.dataclass(init=False)
class OtherLabels:
    """The labels of another version of LiteLLM: it has one more attribute, and no `__post_init__`."""

    model: str | None = None
    tags: tuple[str, ...] = ()
    custom_metadata_labels: dict[str, str] = dataclasses.field(default_factory=dict)

    def __init__(self, **given: Any) -> None:
        self.model, self.tags, self.custom_metadata_labels = given.get("model"), (), {}
        self.since = 0

    def model_dump(self) -> dict[str, Any]:
        return dict(vars(self))


class LabelsWithState(OtherLabels):
    """They can be made, and hold less."""

    def __post_init__(self) -> None:
        """Do nothing."""


class NoDataclass:
    """Labels that are no dataclass."""

    def model_dump(self) -> dict[str, Any]:
        return {}


class OtherLogger:
    """A logger whose gauges take other arguments."""

    def _set_v3_rate_limit_allowed_and_used_metrics(self, payload: object) -> None:
        """Set gauges."""


@pytest.mark.parametrize("labels", [OtherLabels, LabelsWithState, NoDataclass, None])
def test_another_litellm_is_left_alone(monkeypatch: pytest.MonkeyPatch, labels: Any) -> None:
    before = None if labels is None else dict(vars(labels))
    gauges = dict(vars(OtherLogger))
    monkeypatch.setattr(prometheus_shortcuts, "PrometheusLogger", OtherLogger)
    types = SimpleNamespace(_USER_API_KEY_LABEL_VALUE_INIT_ALIASES={})
    if labels is not None:
        types.UserAPIKeyLabelValues = labels
    monkeypatch.setattr(prometheus_shortcuts, "types", types)
    describe_labels_once()
    assert labels is None or dict(vars(labels)) == before
    assert dict(vars(OtherLogger)) == gauges


def test_the_known_labels_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("__init__", "model_dump"):
        monkeypatch.setattr(UserAPIKeyLabelValues, name, inspect.unwrap(getattr(UserAPIKeyLabelValues, name)))
    describe_labels_once()
    assert hasattr(UserAPIKeyLabelValues.__init__, "__wrapped__")


def quick(metric: Any, *values_: object, **named: object) -> Any:
    original = inspect.unwrap(MetricWrapperBase.labels)
    return known_children(original)(metric, *values_, **named)


@pytest.fixture
def gauge() -> Gauge:
    return Gauge("quick", "", ("a", "b"), registry=CollectorRegistry())


def test_labels_find_the_children_of_the_original(gauge: Gauge) -> None:
    original = inspect.unwrap(MetricWrapperBase.labels)
    for given in [{"a": 1, "b": None}, {"b": "x", "a": ""}, {"a": "1", "b": "None"}]:
        assert quick(gauge, **given) is original(gauge, **given) is quick(gauge, **given)
        assert quick(gauge, given["a"], given["b"]) is original(gauge, **given)


def test_a_removed_child_is_made_again(gauge: Gauge) -> None:
    before = quick(gauge, "1", "2")
    before.set(3)
    gauge.remove("1", "2")
    after = quick(gauge, a="1", b="2")
    assert after is not before
    assert after._value.get() == 0


@pytest.mark.parametrize(
    ("values_", "named"),
    [(("1",), {}), (("1", "2", "3"), {}), ((), {"a": 1}), ((), {"a": 1, "c": 2}), (("1",), {"b": 2}), ((), {})],
)
def test_wrong_labels_are_the_originals_error(gauge: Gauge, values_: tuple[str, ...], named: dict[str, int]) -> None:
    quick(gauge, "1", "2")
    with pytest.raises(ValueError) as wrong:
        quick(gauge, *values_, **named)
    with pytest.raises(ValueError, match=re.escape(str(wrong.value))):
        inspect.unwrap(MetricWrapperBase.labels)(gauge, *values_, **named)


def test_a_child_and_a_metric_without_labels_have_no_labels(gauge: Gauge) -> None:
    for metric in (quick(gauge, "1", "2"), Gauge("plain", "", registry=CollectorRegistry())):
        with pytest.raises(ValueError, match="label"):
            quick(metric, "1", "2")


def elsewhere(self: Any, *labelvalues: object, **labelkwargs: object) -> Any:
    """Return a child as another version may: from an attribute of another name."""
    return self._children[labelvalues or tuple(labelkwargs.values())]


def test_a_version_that_keeps_the_children_elsewhere_is_left_alone() -> None:
    assert keeps_children(inspect.unwrap(MetricWrapperBase.labels))
    assert not keeps_children(elsewhere)
    assert not keeps_children(lambda self, *values: self._metrics[self._labelnames])


def test_installing_writes_no_metric(tmp_path: Path) -> None:
    """With several workers, prometheus_client writes each new child to a file that `/metrics` reads."""
    code = """
from custom_handler.telemetry.prometheus_shortcuts import describe_labels_once
from prometheus_client.metrics import MetricWrapperBase
describe_labels_once()
assert hasattr(MetricWrapperBase.labels, "__wrapped__")
"""
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ)
    assert not any(b"example" in file.read_bytes() for file in tmp_path.iterdir())
