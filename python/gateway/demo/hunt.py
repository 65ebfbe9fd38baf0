"""The bug hunt: why does the monthly report say more visits than took place?

Three SELECTs and the arithmetic an agent does on their answers. Knows nothing of the gateway: the
same functions find the same bug in the answers of a direct connection. Refuses to need a protected
column otherwise than as a bare output column: tokens stay equal where values are equal, so rows of
one patient can still be told to belong together.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

#: What the statements read: the tables of the grant that the agent asks for.
TABLES = (
    "reporting.monthly_visits",
    "public.encounter",
    "public.observation",
    "public.patient",
)

#: The number somebody complained about.
REPORT = """\
SELECT department, visits
FROM reporting.monthly_visits
WHERE month = DATE '2022-05-01'
ORDER BY department"""

#: Every measurement ever taken, ten columns; a million rows in the full clinic.
MEASUREMENTS = """\
SELECT o.id, o.encounter_id, o.code, o.value, o.taken_at,
       e.department, e.starts_at, p.mrn, p.full_name, p.dob
FROM public.observation AS o
JOIN public.encounter AS e ON e.id = o.encounter_id
JOIN public.patient AS p ON p.id = e.patient_id"""

#: The suspicion put as a question: cancelled encounters that share a visit number with another one.
SUSPECTS = """\
SELECT e.id, e.visit_no, e.department, e.status, e.starts_at,
       twin.id AS took_place_as, p.mrn, p.full_name, p.phone, p.notes, e.note
FROM public.encounter AS e
JOIN public.encounter AS twin
  ON twin.visit_no = e.visit_no AND twin.id <> e.id
JOIN public.patient AS p ON p.id = e.patient_id
WHERE e.status = 'cancelled'
  AND e.starts_at >= TIMESTAMP '2022-05-01'
  AND e.starts_at < TIMESTAMP '2022-06-01'
ORDER BY e.visit_no"""

_MAY = (datetime(2022, 5, 1), datetime(2022, 6, 1))  # noqa: DTZ001 - the clinic's local time


def reported(report: pa.Table) -> dict[str, int]:
    """Visits a department, as the report counts them."""
    rows = zip(report["department"].to_pylist(), report["visits"].to_pylist(), strict=True)
    return dict(rows)


def took_place(measurements: pa.Table) -> dict[str, int]:
    """Visits a department in May 2022, counted from the measurements taken at them."""
    starts_at = measurements["starts_at"]
    in_may = pc.and_(
        pc.greater_equal(starts_at, pa.scalar(_MAY[0], starts_at.type)),
        pc.less(starts_at, pa.scalar(_MAY[1], starts_at.type)),
    )
    taken = pc.and_(in_may, pc.equal(_text(measurements["code"]), "bp-systolic"))
    return _each_once(measurements, "encounter_id", taken)


def suspected(suspects: pa.Table) -> dict[str, int]:
    """Cancelled encounters a department that the report may have counted."""
    return _each_once(suspects, "id")


def surplus(report: dict[str, int], counted: dict[str, int]) -> dict[str, int]:
    """What the report counts too much, for each department where it does."""
    found = {name: visits - counted.get(name, 0) for name, visits in report.items()}
    return {name: extra for name, extra in found.items() if extra}


def _each_once(rows: pa.Table, column: str, where: pa.ChunkedArray | None = None) -> dict[str, int]:
    """Distinct values of a column for each department."""
    pairs = pa.table({"department": _text(rows["department"]), column: rows[column]})
    if where is not None:
        pairs = pairs.filter(where)
    counted = pairs.group_by("department").aggregate([(column, "count_distinct")])
    names, counts = (
        counted[name].to_pylist() for name in ("department", f"{column}_count_distinct")
    )
    return dict(sorted(zip(names, counts, strict=True)))


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Plain strings, however they were encoded: dictionaries may differ from batch to batch."""
    return column.cast(pa.string())
