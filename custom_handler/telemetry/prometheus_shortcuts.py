"""Make LiteLLM's Prometheus callback cheaper, with the same metrics.

LiteLLM 1.108.7 describes the labels of a request a dozen times, eight of them to remove gauges of
rate limits that were never set; and prometheus_client sorts the names of labels twice each time
that it looks for the counter of their values. `STACKSPOT_SHORTCUTS=false` keeps their own
functions, as does another version whose functions take or return something else.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from litellm.integrations.prometheus import PrometheusLogger
from litellm.types.integrations import prometheus as types
from prometheus_client.metrics import MetricWrapperBase

from ..proxy.shortcuts import takes

_LIMIT_HEADER = "x-ratelimit-"
_OPENAI_HEADERS = ("x-ratelimit-limit-", "x-ratelimit-remaining-", "x-ratelimit-reset-")  # in no gauge of these
_EXAMPLE = {
    "api_key_hash": "h",
    "model": "m",
    "tags": ["t"],
    "stream": True,
    "custom_metadata_labels": {"a": "b"},
    "other": 1,
}

_Setter = Callable[..., None]
_Labels = Callable[..., MetricWrapperBase]


def describe_labels_once() -> None:
    """Install the shortcuts, once a process."""
    with suppress(AttributeError):
        original = PrometheusLogger._set_v3_rate_limit_allowed_and_used_metrics
        known = takes(original, "self", "standard_logging_payload", "enum_values")
        if known and not hasattr(original, "__wrapped__"):
            PrometheusLogger._set_v3_rate_limit_allowed_and_used_metrics = only_for_limits(original)
    with suppress(AttributeError, TypeError):
        values = types.UserAPIKeyLabelValues
        if not hasattr(values.__init__, "__wrapped__"):
            init, model_dump = quick_labels(values)
            if is_like(values, init, model_dump):
                values.__init__, values.model_dump = init, model_dump
    with suppress(AttributeError, TypeError):
        original_labels = MetricWrapperBase.labels
        if not hasattr(original_labels, "__wrapped__") and keeps_children(original_labels):
            MetricWrapperBase.labels = known_children(original_labels)  # type: ignore[method-assign,assignment]


def known_children(original: _Labels) -> _Labels:
    """Return a `labels` that looks first for a child of these values; the original makes new ones.

    The original also rejects wrong names, so it is called unless each name has a value.
    """

    @functools.wraps(original)
    def labels(self: MetricWrapperBase, *values: object, **named: object) -> MetricWrapperBase:
        try:
            if named and not values and len(named) == len(self._labelnames):
                child = self._metrics.get(tuple([str(named[name]) for name in self._labelnames]))
            else:
                child = None if named else self._metrics.get(tuple(map(str, values)))
        except (KeyError, AttributeError):  # a wrong name; a child, or a metric without labels
            child = None
        return original(self, *values, **named) if child is None else child

    return labels


def keeps_children(labels: Any) -> bool:
    """Return whether `labels` is the original, and keeps the children of a metric as expected.

    To try it would need a metric, which is written to a file where there are several workers.
    """
    names = set(getattr(getattr(labels, "__code__", None), "co_names", ()))
    return takes(labels, "self", "labelvalues", "labelkwargs") and {"_labelnames", "_metrics"} <= names


def only_for_limits(original: _Setter) -> _Setter:
    """Return a setter of the gauges of rate limits that does nothing while there are no limits.

    The original removes a gauge that a former request of this process has set, so that it is always
    called once a request has had a limit.
    """
    had_limits = False

    @functools.wraps(original)
    def set_gauges(self: PrometheusLogger, standard_logging_payload: Mapping[str, Any], enum_values: object) -> None:
        nonlocal had_limits
        had_limits = had_limits or _has_limits(standard_logging_payload)
        if had_limits:
            original(self, standard_logging_payload=standard_logging_payload, enum_values=enum_values)

    return set_gauges


def _has_limits(payload: Mapping[str, Any]) -> bool:
    headers = (payload.get("hidden_params") or {}).get("additional_headers") or {}
    return any(name.startswith(_LIMIT_HEADER) and not name.startswith(_OPENAI_HEADERS) for name in map(str, headers))


def is_like(values: Any, init: _Setter, model_dump: Callable[[Any], dict[str, object]]) -> bool:
    """Return whether both functions do for an example what those of the class do."""
    original, quick = values(**_EXAMPLE), object.__new__(values)
    init(quick, **_EXAMPLE)
    return (vars(quick), model_dump(quick)) == (vars(original), original.model_dump())


def quick_labels(values: Any) -> tuple[_Setter, Callable[[Any], dict[str, object]]]:
    """Return `__init__` and `model_dump` of LiteLLM's labels that look up the fields only once."""
    original = values.__init__
    fields = dataclasses.fields(values)
    defaults = {field.name: None if field.default is dataclasses.MISSING else field.default for field in fields}
    factories = {
        field.name: field.default_factory for field in fields if field.default_factory is not dataclasses.MISSING
    }
    aliases = types._USER_API_KEY_LABEL_VALUE_INIT_ALIASES

    @functools.wraps(original)
    def __init__(self: Any, **given: Any) -> None:  # noqa: N807  it replaces that of the class
        merged = defaults | {name: factory() for name, factory in factories.items()}
        for name, value in given.items():
            if (field := name if name in merged else aliases.get(name)) in merged:
                merged[field] = value
        vars(self).update(merged)
        self.__post_init__()

    @functools.wraps(values.model_dump)
    def model_dump(self: Any) -> dict[str, object]:
        dumped: dict[str, object] = vars(self) | {
            "tags": list(self.tags),
            "custom_metadata_labels": dict(self.custom_metadata_labels),
        }
        return dumped

    return __init__, model_dump
