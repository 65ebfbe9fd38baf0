"""The model of the release gate holds, and no rule of it is there for nothing."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "release_gate.py"

#: The rules of the gate, and the claim that does not hold without each.
BROKEN = {
    "intent_before_asking": "asked",
    "result_before_release": "released",
    "answer_behind_sync": "known",
    "failed_sync_is_final": "known",
    "one_frame_at_a_time": "starts",
    "torn_tail_set_aside": "starts",
    "last_frame_written_again": "starts",
}


@pytest.fixture(scope="module")
def model() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_gate", PAGE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for themselves there
    spec.loader.exec_module(module)
    return module


def test_the_model_holds_in_every_state(model: ModuleType) -> None:
    seen = model.visit(model.Rules())
    assert (seen.wrong, seen.way) == (None, ())
    assert seen.states > 50_000


@pytest.mark.parametrize(("rule", "claim"), BROKEN.items())
def test_each_rule_left_out_breaks_a_claim(model: ModuleType, rule: str, claim: str) -> None:
    assert model.visit(replace(model.Rules(), **{rule: False})).wrong == claim


def test_every_rule_is_left_out_once(model: ModuleType) -> None:
    assert set(model.Rules.__dataclass_fields__) == set(BROKEN)
