"""Counters for operators. Labels are codes of the contract: never a name, statement or value."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

REGISTRY = CollectorRegistry()
OUTCOMES = Counter(
    "maskgate_statements_total",
    "Statements by outcome: released, client_gone, or the code of the refusal or failure.",
    ["outcome"],
    registry=REGISTRY,
)


def render() -> bytes:
    """The Prometheus text exposition."""
    return generate_latest(REGISTRY)
