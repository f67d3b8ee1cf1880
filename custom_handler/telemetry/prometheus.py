"""What Prometheus reads on `/metrics`, beside LiteLLM's own: every request of the proxy, and what the provider measures.

LiteLLM's callback `prometheus` serves the registry that these are in, behind the proxy's key, and adds up what several
workers count (`PROMETHEUS_MULTIPROC_DIR`, which the proxy sets by itself). Labels are bounded: paths are the templates of
routes, and nothing that a client makes up becomes a label.
"""

from __future__ import annotations

import time

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..instrumentation import (
    FirstText,
    KeptConversation,
    Measurement,
    QueueChanged,
    Queued,
    Repaired,
    Retried,
    TokenCall,
    ToolCalled,
)
from ..proxy.asgi_transport import INTERNAL_CALL

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UNKNOWN = "unknown"
LEFT = "499"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

METRICS = "/metrics"


class HttpMetrics:
    """Counts and times the requests of clients; a service's own calls inside the proxy are part of one of those."""

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

    def ended(self, scope: Scope, status: str, seconds: float) -> None:
        """Count one request."""
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        path = _template(scope)
        self._requests.labels(method, path, status).inc()
        self._seconds.labels(method, path).observe(seconds)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the application with its requests counted."""
        return _Counted(app, self)


class _Counted:
    """ASGI middleware that tells `HttpMetrics` of each request."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; one whose client left before an answer began has the status 499."""
        if scope["type"] != "http" or INTERNAL_CALL in scope:
            await self._app(scope, receive, send)
            return
        if scope["path"] == METRICS:  # LiteLLM's mount would redirect, and scrapers are not asked to follow
            scope["path"] = f"{METRICS}/"
        status, started = LEFT, time.perf_counter()

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_seen)
        except Exception:
            status = "500"
            raise
        finally:
            self._metrics.ended(scope, status, time.perf_counter() - started)


class ProviderMetrics:
    """Listens to what the provider measures (`instrumentation.py`)."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"stackspot_{name}", meaning, labels, registry=registry)

        def seconds(name: str, meaning: str, *labels: str) -> Histogram:
            return Histogram(f"stackspot_{name}_seconds", meaning, labels, buckets=SECONDS, registry=registry)

        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(f"stackspot_{name}", meaning, multiprocess_mode="livesum", registry=registry)

        self._tokens = counter("token_renewals", "Calls of the identity service", "outcome")
        self._token_seconds = seconds("token_renewal", "Seconds of a call of the identity service")
        self._waiting = gauge("queue_depth", "Calls that wait for a place")
        self._running = gauge("queue_running", "Calls that hold a place")
        self._queue_seconds = seconds("queue_wait", "Seconds that a call waited for a place", "outcome")
        self._retries = counter("retries", "Calls made again", "reason")
        self._first_text = seconds(
            "time_to_first_token", "Seconds from the beginning of a turn to the agent's first text"
        )
        self._tool_calls = counter("tool_calls", "Calls of the client's tools")
        self._repairs = counter("repairs", "Repair rounds", "fault", "outcome")
        self._kept = counter("kept_conversations", "Turns of conversations that the platform keeps", "outcome")

    def __call__(self, measure: Measurement) -> None:
        """Count one measure."""
        match measure:
            case TokenCall():
                self._tokens.labels("succeeded" if measure.succeeded else "failed").inc()
                self._token_seconds.observe(measure.seconds)
            case QueueChanged():
                self._waiting.set(measure.waiting)
                self._running.set(measure.running)
            case Queued():
                self._queue_seconds.labels("admitted" if measure.admitted else "turned_away").observe(measure.seconds)
            case Retried():
                self._retries.labels(measure.reason).inc()
            case FirstText():
                self._first_text.observe(measure.seconds)
            case ToolCalled():  # its name is the client's: no label
                self._tool_calls.inc()
            case KeptConversation():
                self._kept.labels(measure.outcome).inc()
            case Repaired():
                self._repairs.labels(measure.fault, "succeeded" if measure.succeeded else "failed").inc()


def _template(scope: Scope) -> str:
    """Name the route that served a request by its template; what no route serves has one name."""
    if scope["path"] == f"{METRICS}/":
        return METRICS
    return str(getattr(scope.get("route"), "path", UNKNOWN))
