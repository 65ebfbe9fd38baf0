"""Counters for operators. Labels are codes of the contract: never a name, statement or value."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from gateway.flows.health import Delivery

REGISTRY = CollectorRegistry()
OUTCOMES = Counter(
    "maskgate_statements_total",
    "Statements by outcome: released, client_gone, or the code of the refusal or failure.",
    ["outcome"],
    registry=REGISTRY,
)


_SIEM = {
    name: Gauge(f"maskgate_siem_{name}", said, registry=REGISTRY)
    for name, said in (
        ("lag_seconds", "How long the oldest record that the SIEM has not got has waited."),
        ("delivered", "Events that have arrived at the SIEM since the start."),
        ("failures", "Deliveries to the SIEM that failed, and were or will be tried again."),
    )
}


def render(delivery: Delivery | None) -> bytes:
    """The Prometheus text exposition."""
    if delivery is not None:
        for name, gauge in _SIEM.items():
            gauge.set(getattr(delivery, name))
    return generate_latest(REGISTRY)
