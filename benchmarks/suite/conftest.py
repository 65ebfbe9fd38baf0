"""What the benchmarks in Python share: the notes, and a place to say what is not installed."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read when polars is imported

import pyarrow as pa
import pytest

import data
from results import say_absent

Timed = Callable[..., Any]


@pytest.fixture(scope="session")
def notes() -> pa.Table:
    return data.table()


@pytest.fixture
def absent() -> Callable[[str, str, str], None]:
    """Say that an engine could not be measured, and skip."""

    def say(measure: str, engine: str, reason: str) -> None:
        say_absent(measure, engine, reason)
        pytest.skip(reason)

    return say


@pytest.fixture
def engine(absent: Callable[[str, str, str], None]) -> Callable[[str, str, str], Any]:
    """An engine by module and class; skipped with its reason when it is not installed."""

    def load(measure: str, module: str, name: str) -> Any:
        try:
            return getattr(importlib.import_module(f"engines.{module}"), name)()
        except (ImportError, OSError) as failure:
            absent(measure, f"{module} {name}", f"not installed: {failure}")
            raise

    return load


@pytest.fixture
def timed(benchmark: Any) -> Timed:
    """Run a function some rounds and record what was done: `amount` of `unit` each time."""

    def run(
        measure: str, name: str, function: Callable[[], Any], *, amount: float, unit: str,
        size: int, rounds: int = 5, note: str = "", warmup: int = 1,
    ) -> Any:  # fmt: skip
        benchmark.extra_info.update(
            measure=measure, engine=name, amount=amount, unit=unit, size=size, note=note
        )
        return benchmark.pedantic(function, rounds=rounds, warmup_rounds=warmup)

    return run
