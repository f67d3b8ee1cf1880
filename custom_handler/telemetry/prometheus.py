"""Prometheus metrics of HTTP requests and of the provider, beside LiteLLM's own on `/metrics`.

LiteLLM's callback `prometheus` serves their registry, behind the proxy's key, and adds up the
counts of several workers (`PROMETHEUS_MULTIPROC_DIR`, which the proxy sets itself). Labels have
bounded cardinality: paths are route templates, and no label has a value chosen by a client.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import Scope

from ..instrumentation import (
    AccountMeasurement,
    AgentsRefreshed,
    BudgetExceeded,
    CacheLookup,
    ConversationOutcome,
    ExecutionEnded,
    ExecutionPolled,
    FirstText,
    KeySpend,
    KnowledgeSearched,
    Measurement,
    QueueChanged,
    Queued,
    Repaired,
    RequestCounted,
    ResponseStored,
    Resumed,
    Retried,
    TokenCall,
    ToolCalled,
    WebSearched,
)
from ..proxy.asgi_transport import INTERNAL_CALL
from ..proxy.middleware.exchange import Outcome

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UNKNOWN = "unknown"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

METRICS = "/metrics"
ACCOUNT = "account"  # its name in STACKSPOT_ACCOUNTS_FILE
KEY = "api_key_alias"


class HttpMetrics:
    """Counts and times the requests of clients, without the services' calls inside the proxy."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "http_requests", "Requests by method, route and status", ("method", "path", "status"), registry=registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds to the end of the answer",
            ("method", "path"),
            buckets=SECONDS,
            registry=registry,
        )

    def request_started(self, scope: Scope) -> None:
        """Serve `/metrics` without LiteLLM's redirect, which scrapers may not follow."""
        if scope["path"] == METRICS:
            scope["path"] = f"{METRICS}/"

    def request_ended(self, scope: Scope, outcome: Outcome) -> None:
        """Count one request of a client."""
        if INTERNAL_CALL in scope:
            return
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        path = _template(scope)
        self._requests.labels(method, path, str(outcome.status)).inc()
        self._seconds.labels(method, path).observe(outcome.seconds)


class ResponseMetrics:
    """Counts the responses that are kept for later requests; a hook."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._stored = Counter(
            "stackspot_stored_responses", "Responses to be kept for later requests", ("outcome",), registry=registry
        )

    def __call__(self, measurement: Measurement) -> None:
        """Count one measurement."""
        if isinstance(measurement, ResponseStored):
            self._stored.labels(measurement.outcome).inc()


class ProviderMetrics:
    """Counts the measurements of the provider; a hook (see instrumentation.py).

    What concerns a StackSpot account has its name as a label. `accounts` are known at the start:
    metrics without another label begin at 0 for each.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, accounts: Iterable[str] = ("default",)) -> None:
        def counter(name: str, description: str, *labels: str) -> Counter:
            return Counter(f"stackspot_{name}", description, labels, registry=registry)

        def seconds(name: str, description: str, *labels: str) -> Histogram:
            return Histogram(f"stackspot_{name}_seconds", description, labels, buckets=SECONDS, registry=registry)

        def gauge(name: str, description: str, mode: Literal["livesum", "mostrecent"], label: str = ACCOUNT) -> Gauge:
            return Gauge(f"stackspot_{name}", description, (label,), multiprocess_mode=mode, registry=registry)

        self._tokens = counter("token_renewals", "Calls of the identity service", ACCOUNT, "outcome")
        self._token_seconds = seconds("token_renewal", "Seconds of a call of the identity service", ACCOUNT)
        self._waiting = gauge("queue_depth", "Calls that wait for a place", "livesum")
        self._running = gauge("queue_running", "Calls that hold a place", "livesum")
        self._requests = counter("requests", "Requests that count against the account's limits", ACCOUNT, KEY)
        limit = "The account's requests a minute, fewer for a while after a 429; 0: no limit"
        self._limit = gauge("requests_limit", limit, "mostrecent")
        self._day_limit = gauge("requests_day_limit", "The account's requests in 24 hours; 0: no limit", "mostrecent")
        self._queue_seconds = seconds("queue_wait", "Seconds that a call waited for a place", ACCOUNT, "outcome")
        self._retries = counter("retries", "Calls made again", ACCOUNT, "reason")
        first_text = "Seconds from the beginning of a turn to the agent's first text"
        self._first_text = seconds("time_to_first_token", first_text, ACCOUNT)
        self._tool_calls = counter("tool_calls", "Calls of the client's tools", ACCOUNT)
        self._repairs = counter("repairs", "Repair rounds", ACCOUNT, "fault", "outcome")
        broken = "Answers that broke off, of models that continue them"
        kept = "Turns of conversations that the platform keeps"
        cached = "Requests to models with a cache of answers"
        self._outcomes: dict[type[AccountMeasurement], Counter] = {
            Resumed: counter("resumed_streams", broken, ACCOUNT, "outcome"),
            ConversationOutcome: counter("kept_conversations", kept, ACCOUNT, "outcome"),
            CacheLookup: counter("cache_lookups", cached, ACCOUNT, "outcome"),
            ExecutionEnded: counter("quick_commands", "Executions of Quick Commands", ACCOUNT, "outcome"),
        }
        self._polls = counter("quick_command_polls", "Polls of executions of Quick Commands", ACCOUNT)
        self._refreshes = counter("agents_refreshes", "Times an account's agents were listed", ACCOUNT, "outcome")
        listed = "Agents of an account that wildcards of config.yaml list as models"
        self._listed = gauge("agents_listed", listed, "mostrecent")
        self._searches = counter("knowledge_answers", "Answers of models with knowledge sources", ACCOUNT, "sources")
        self._web_searches = counter("web_searches", "Web searches of agents", ACCOUNT, "outcome")
        self._web_search_seconds = seconds("web_search", "Seconds of a web search", ACCOUNT)
        spend = "What a key of KEYS_FILE has spent in the period of its budget"
        self._spend = gauge("key_spend_usd", spend, "mostrecent", KEY)
        self._budget = gauge("key_budget_usd", "The budget of a key of KEYS_FILE", "mostrecent", KEY)
        refused = "Requests refused because the key's budget is spent"
        self._budget_refusals = counter("budget_refusals", refused, KEY)
        for account in accounts:
            for metric in (self._token_seconds, self._waiting, self._running, self._first_text, self._tool_calls):
                metric.labels(account)

    def __call__(self, measurement: Measurement) -> None:
        """Count one measurement."""
        match measurement:
            case KeySpend():
                self._spend.labels(measurement.key).set(measurement.spend)
                self._budget.labels(measurement.key).set(measurement.budget)
            case BudgetExceeded():
                self._budget_refusals.labels(measurement.key).inc()
            case AgentsRefreshed(account=account, succeeded=succeeded):
                self._refreshes.labels(account, "succeeded" if succeeded else "failed").inc()
                self._listed.labels(account).set(measurement.listed)
            case AccountMeasurement():
                self._count(measurement, measurement.account)

    def _count(self, measurement: AccountMeasurement, account: str) -> None:
        match measurement:
            case TokenCall():
                self._tokens.labels(account, "succeeded" if measurement.succeeded else "failed").inc()
                self._token_seconds.labels(account).observe(measurement.seconds)
            case QueueChanged():
                self._waiting.labels(account).set(measurement.waiting)
                self._running.labels(account).set(measurement.running)
            case Queued():
                outcome = "admitted" if measurement.admitted else "turned_away"
                self._queue_seconds.labels(account, outcome).observe(measurement.seconds)
            case RequestCounted():
                self._requests.labels(account, measurement.key).inc()
                self._limit.labels(account).set(measurement.limit)
                self._day_limit.labels(account).set(measurement.day_limit)
            case Retried():
                self._retries.labels(account, measurement.reason).inc()
            case FirstText():
                self._first_text.labels(account).observe(measurement.seconds)
            case ToolCalled():  # no label of it: the client chooses the name
                self._tool_calls.labels(account).inc()
            case ExecutionPolled():
                self._polls.labels(account).inc()
            case Resumed() | ConversationOutcome() | CacheLookup() | ExecutionEnded():
                self._outcomes[type(measurement)].labels(account, measurement.outcome).inc()
            case KnowledgeSearched():
                self._searches.labels(account, "found" if measurement.sources else "none").inc()
            case WebSearched():
                self._web_searches.labels(account, "succeeded" if measurement.succeeded else "failed").inc()
                self._web_search_seconds.labels(account).observe(measurement.seconds)
            case Repaired():
                outcome = "succeeded" if measurement.succeeded else "failed"
                self._repairs.labels(account, measurement.fault, outcome).inc()


def _template(scope: Scope) -> str:
    """Return the template of the request's route, or UNKNOWN without a route."""
    if scope["path"] == f"{METRICS}/":
        return METRICS
    return str(getattr(scope.get("route"), "path", UNKNOWN))
