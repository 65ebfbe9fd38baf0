"""Step 4 for what is treated with other columns of its own row.

`{ treatment = "scan", row = ["full_name", "mrn"] }`: what these columns hold is masked wherever the
text says it. It must hold for every answer or for none: a text that is masked beside a name, and is
not beside another, tells whose name it holds. So a text that comes without them does not come, nor
does a date under `shift` without its subject.
"""

from __future__ import annotations

from gateway.errors import ProtectedUse
from gateway.model import Analysis, Column, Output, RowValues, Shape
from gateway.policy.permitted import treatment_of
from gateway.policy.rules import Policy
from gateway.treatments import companions

#: Types whose values are looked for in a text, or tell whose a date is.
_KINDS = frozenset({"text", "enum", "int2", "int4", "int8", "numeric", "uuid"})
_MOST_DIGITS = 38  # numeric with more comes as text


def to_bring(analysis: Analysis, policy: Policy) -> tuple[RowValues, ...]:
    """The columns to bring along with each value that comes as it is from one table."""
    return policy.once(lambda: _to_bring(analysis, policy), to_bring, analysis.shape)


def _to_bring(analysis: Analysis, policy: Policy) -> tuple[RowValues, ...]:
    found = []
    for place, output in enumerate(analysis.outputs):
        columns = needed(output, analysis, policy)
        references = {source.reference for source in output.sources}
        reference = references.pop() if len(references) == 1 else None
        if columns and len(output.columns) == 1 and reference is not None:
            found.append(RowValues(place, reference, columns))
    return tuple(found)


def needed(output: Output, analysis: Analysis, policy: Policy) -> tuple[str, ...]:
    """The columns of its row that an output is treated with."""
    if output.shape is Shape.COMPUTED:
        return ()
    names: dict[str, None] = {}
    for column in output.columns:
        names |= dict.fromkeys(companions(treatment_of(column, analysis, policy)[0]))
    return tuple(names)


def missing(place: int, analysis: Analysis, policy: Policy) -> str:
    """The first column that an output is to come with and is not; empty if there is none."""
    output = analysis.outputs[place]
    given = [analysis.given(other) for other in analysis.rows.get(place, ())]
    for name in needed(output, analysis, policy):
        if not any(_holds(other, name, output.columns, analysis) for other in given):
            return name
    return ""


def _holds(other: Output, name: str, columns: tuple[Column, ...], analysis: Analysis) -> bool:
    """Whether an output is that column, whole, of the table that a text is of; and was that column
    when the gateway first saw it."""
    return (
        other.shape is not Shape.COMPUTED
        and not other.masked
        and len(columns) == 1
        and [(c.relation, c.name) for c in other.columns] == [(columns[0].relation, name)]
        and all(
            former.name == name
            for former in analysis.related.get(other.columns[0], ())
            if (former.relation, former.attnum) == (columns[0].relation, other.columns[0].attnum)
        )
    )


def check_row_values(analysis: Analysis, policy: Policy) -> None:
    """Raises ProtectedUse unless every text comes with the columns that it is to come with."""
    for place, output in enumerate(analysis.outputs):
        name = missing(place, analysis, policy)
        if name:
            raise ProtectedUse(
                f"{output.columns[0]} comes with {name} of the same row, which this statement "
                "cannot bring along",
                hint="select it from its table in a SELECT without UNION, DISTINCT and GROUP BY, "
                "and outside of sub-selects and WITH",
            )
        if not needed(output, analysis, policy):
            continue  # it was NULL at source
        for other in analysis.rows[place]:
            given = analysis.given(other)
            if said := unreadable_beside(given.columns[0].name, given):
                raise ProtectedUse(f"{output.columns[0]}: {said}")


def unreadable_beside(name: str, given: Output | None) -> str:
    """Why a text cannot come with that column of its row; empty if it can."""
    if given is None:
        return f"it is to come with {name} of its row, and its table has no such column"
    kind = str(given.type.get("kind"))
    if given.type.get("scale") and given.type["precision"] <= _MOST_DIGITS:
        kind += " with decimals"
    if kind in _KINDS:
        return ""
    return (
        f"it is to come with {name} of its row, which is of type {kind}; possible: "
        f"{', '.join(sorted(_KINDS))}"
    )
