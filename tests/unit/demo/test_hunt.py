"""The arithmetic of the bug hunt, on answers small enough to count by hand."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest

from gateway.demo import hunt

MAY, JUNE = (datetime.fromisoformat(text) for text in ("2022-05-31T23:59", "2022-06-01"))


def measurements(encoding: pa.DataType) -> pa.Table:
    rows = [
        ("bp-systolic", 1, "Cardiology", MAY),
        ("bp-systolic", 1, "Cardiology", MAY),  # measured twice, one visit
        ("pulse", 2, "Cardiology", MAY),  # no blood pressure, no visit
        ("bp-systolic", 3, "Neurology", MAY),
        ("bp-systolic", 4, "Neurology", JUNE),
    ]
    codes, encounters, departments, times = zip(*rows, strict=True)
    return pa.table(
        {
            "code": pa.array(codes).cast(encoding),
            "encounter_id": encounters,
            "department": pa.array(departments).cast(encoding),
            "starts_at": pa.array(times, pa.timestamp("us")),
        }
    )


@pytest.mark.parametrize("encoding", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_visits_are_counted_once_each_whatever_the_strings_are(encoding: pa.DataType) -> None:
    assert hunt.took_place(measurements(encoding)) == {"Cardiology": 1, "Neurology": 1}


def test_dictionaries_may_differ_from_batch_to_batch() -> None:
    rows = measurements(pa.string())
    batches = [rows.slice(0, 3), rows.slice(3)]
    encoded = pa.concat_tables(
        [
            batch.set_column(2, "department", batch["department"].dictionary_encode())
            for batch in batches
        ]
    )
    assert hunt.took_place(encoded) == {"Cardiology": 1, "Neurology": 1}


def test_the_surplus_is_what_the_report_counts_too_much() -> None:
    report = pa.table({"department": ["Cardiology", "Neurology", "Other"], "visits": [3, 1, 2]})
    extra = hunt.surplus(hunt.reported(report), {"Cardiology": 1, "Neurology": 1})
    assert extra == {"Cardiology": 2, "Other": 2}


def test_a_cancelled_encounter_counts_once() -> None:
    suspects = pa.table({"id": [5, 5, 9], "department": ["Cardiology", "Cardiology", "Neurology"]})
    assert hunt.suspected(suspects) == {"Cardiology": 1, "Neurology": 1}
