"""What Prometheus may know: requests by route, the queue, encounters coded, tokens, failures by code. No patient data.

Labels are methods, route templates (``/v1/records/{ref}``, never the path asked for), statuses and error codes; all
are few. One :class:`Metrics` an application, with a registry of its own. What the desk counts is read when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from jointcoder.records import Cost

MEDIA_TYPE = CONTENT_TYPE_LATEST
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
UNMATCHED = "(none)"
TOKENS = {"read": "prompt_tokens", "reused": "reused_tokens", "written": "generated_tokens"}


class Metrics:
    """Counts of one application. Asked when the page is: ``queue``, status → how many encounters (what it raises is
    left out of the page), and ``versions``, what codes here by name and hash."""

    def __init__(self, queue: Callable[[], Mapping[str, int]] | None = None) -> None:
        self.registry = CollectorRegistry()
        self.queue = queue
        self.versions: Callable[[], Mapping[str, Any]] | None = None
        self._requests = Counter(
            "jointcoder_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "jointcoder_http_request_seconds",
            "Seconds until a request was answered",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._coded = Counter("jointcoder_encounters_coded", "Encounters coded", registry=self.registry)
        self._failed = Counter(
            "jointcoder_encounters_failed", "Encounters not coded, by error code", ["code"], registry=self.registry
        )
        self._coding = Histogram(
            "jointcoder_coding_seconds", "Seconds to code an encounter", buckets=SECONDS, registry=self.registry
        )
        self._tokens = Counter("jointcoder_tokens", "Tokens of the model", ["way"], registry=self.registry)
        self._errors = Counter("jointcoder_errors", "Errors answered, by code", ["code"], registry=self.registry)
        self._info = Info("jointcoder", "What codes here", registry=self.registry)
        self.registry.register(self)

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """A request was answered."""
        labels = (method if method in METHODS else "OTHER", route or UNMATCHED)
        self._requests.labels(*labels, str(status)).inc()
        self._seconds.labels(*labels).observe(seconds)

    def error(self, code: str) -> None:
        """An error was answered."""
        self._errors.labels(code).inc()

    def coded(self, cost: Cost) -> None:
        """An encounter was coded, at this cost."""
        self._coded.inc()
        self._coding.observe(cost.seconds)
        for way, name in TOKENS.items():
            self._tokens.labels(way).inc(getattr(cost, name))

    def failed(self, code: str) -> None:
        """An encounter could not be coded."""
        self._failed.labels(code or "JC999").inc()

    def collect(self) -> Iterable[Metric]:
        """The desk's own counts (called by the registry)."""
        if self.queue is None:
            return
        family = GaugeMetricFamily("jointcoder_encounters", "Encounters at the desk, by status", labels=["status"])
        try:
            for status, number in self.queue().items():
                family.add_metric([status], number)
        except Exception:  # a page without this figure is better than none while the store is away
            return
        yield family

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        if self.versions is not None:
            self._info.info({name: str(value) for name, value in self.versions().items()})
        return generate_latest(self.registry)
