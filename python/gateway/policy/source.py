"""Step 4 of `expressions = "mask-at-source"`: which columns have to be NULL before anything runs.

A protected column that is used otherwise than as a bare output is hidden in the reference that it
is used through; there its other uses see NULL too. It decides what to ask for, not what may leave:
`decide` judges the statement that comes of it. Refuses at once what hiding cannot help: a denied
column, and a use that no reference of the text accounts for.
"""

from __future__ import annotations

from gateway.model import (
    Analysis,
    Column,
    ColumnDecision,
    Grant,
    Hidden,
    Output,
    Reference,
    Treatment,
)
from gateway.policy.beside import missing
from gateway.policy.decide import check_scope, denied, misuse, passes, treat
from gateway.policy.permitted import Leave, advice, leave, treatment_of
from gateway.policy.rules import Policy

Uses = dict[tuple[Reference, Column], list[str]]


def to_hide(grant: Grant, analysis: Analysis, policy: Policy) -> tuple[Hidden, ...]:
    """The columns to hide, each with the reference and the uses; none when there is no need.

    Behind them, without uses, the protected columns that come bare.

    Raises OutOfScope and ProtectedUse as `decide` does.
    """
    if policy.expressions == "refuse":
        return ()
    return policy.once(
        lambda: _to_hide(grant, analysis, policy), to_hide, analysis.shape, grant.tables
    )


def _to_hide(grant: Grant, analysis: Analysis, policy: Policy) -> tuple[Hidden, ...]:
    check_scope(grant, analysis, policy)
    uses: Uses = {}
    while True:
        # What is compared with a column that is hidden compares with NULL: no option is for that.
        hidden = {key for key, places in uses.items() if places}
        found = _uses(analysis, policy, leave(analysis, policy, hidden))
        for key, places in found.items():
            uses[key] = uses.get(key) or places
        if hidden == {key for key, places in uses.items() if places}:
            break
    return tuple(
        Hidden(
            reference,
            column,
            tuple(places),
            treatment_of(column, analysis, policy)[1],
            advice(column, analysis, policy),
        )
        for (reference, column), places in uses.items()
    )


def _uses(analysis: Analysis, policy: Policy, allowed: Leave) -> Uses:
    uses: Uses = {}
    for use in (*analysis.control, *analysis.mentions):
        treatment, _ = treatment_of(use.column, analysis, policy)
        if treatment.protects and not allowed.admits(use):
            refused = misuse(use.column, analysis, policy, use.where)
            if treatment.name == "deny" or not use.references:
                raise refused
            for reference in use.references:
                if reference is None:
                    raise refused
                _add(uses, reference, use.column, use.where)
    for output in analysis.outputs:
        _of_output(output, analysis, policy, allowed, uses)
    _alone(analysis, policy, uses)
    if uses:
        _arms(analysis, policy, allowed, uses)
        _spare(analysis, uses)
        _bare(analysis, policy, allowed, uses)
    return uses


def foreseen(output: Output, analysis: Analysis, policy: Policy) -> ColumnDecision:
    """What an output will come as, whatever else the statement does; for listings.

    Raises ProtectedUse when it will be refused.
    """
    uses: Uses = {}
    allowed = leave(analysis, policy)
    if policy.expressions != "refuse":
        _of_output(output, analysis, policy, allowed, uses)
    if not uses:
        return treat(output, analysis, policy, allowed)
    names = tuple(dict.fromkeys(str(column) for _, column in uses))
    reason = f"made of {', '.join(names)}, NULL at source"
    return ColumnDecision(output.name, Treatment("null"), reason, (), names)


def _of_output(
    output: Output, analysis: Analysis, policy: Policy, allowed: Leave, uses: Uses
) -> None:
    """What an output computes with, and what it cannot give one treatment to."""
    found = {column: treatment_of(column, analysis, policy) for column in output.columns}
    protected = {
        column: entry
        for column, entry in found.items()
        if entry[0].protects and not allowed.admits_output(column, output.sources)
    }
    if not protected:
        return
    for column, (treatment, reason) in protected.items():
        if treatment.name == "deny":
            raise denied(column, reason)
    chosen, _ = next(iter(protected.values()))
    if not passes(output, chosen):
        where = f"an expression (output column {output.name!r})"
    elif len(protected) < len(found) or any(t != chosen for t, _ in protected.values()):
        where = f"output column {output.name!r}, which mixes columns of different treatments"
    else:
        return
    through = {column: [s for s in output.sources if s.column == column] for column in protected}
    for column, sources in through.items():
        if not sources or any(source.reference is None for source in sources):
            raise misuse(column, analysis, policy, where)
        for source in sources:
            if source.reference is not None:
                _add(uses, source.reference, column, where)


def _spare(analysis: Analysis, uses: Uses) -> None:
    """Where a hidden column is only named in another reference, it is hidden there, too: once it
    reaches no output any more, that would be a mention."""
    hidden = {column for _, column in uses}
    for source in analysis.idle:
        if source.column in hidden and source.reference is not None:
            _add(uses, source.reference, source.column, "unused mention")


def _alone(analysis: Analysis, policy: Policy, uses: Uses) -> None:
    """What is treated with other columns of its row comes with them, or not at all."""
    for place, output in enumerate(analysis.outputs):
        name = missing(place, analysis, policy)
        for other in analysis.rows.get(place, ()):
            keys = {(source.reference, source.column) for source in analysis.given(other).sources}
            if any(key in uses for key in keys):
                name = name or analysis.given(other).columns[0].name
        if not name:
            continue
        where = f"output column {output.name!r}, which {name} of its row cannot come with"
        for source in output.sources:
            if source.reference is None:
                raise misuse(source.column, analysis, policy, where)
            _add(uses, source.reference, source.column, where)


def _arms(analysis: Analysis, policy: Policy, allowed: Leave, uses: Uses) -> None:
    """An output is bare only if all its arms are: where one is NULL, the others are hidden too."""
    before = -1
    while before != len(uses):
        before = len(uses)
        for output in analysis.outputs:
            keys = _protected(output, analysis, policy, allowed)
            if any(key in uses for key in keys):
                for reference, column in (key for key in keys if key not in uses):
                    where = f"output column {output.name!r}, in another arm of which it is NULL"
                    _add(uses, reference, column, where)
        _alone(analysis, policy, uses)


def _bare(analysis: Analysis, policy: Policy, allowed: Leave, uses: Uses) -> None:
    """What comes bare: without a use, it is not hidden yet."""
    for output in analysis.outputs:
        for key in _protected(output, analysis, policy, allowed):
            uses.setdefault(key, [])


def _protected(
    output: Output, analysis: Analysis, policy: Policy, allowed: Leave
) -> list[tuple[Reference, Column]]:
    """The protected columns that reach an output, with the references."""
    return [
        (source.reference, source.column)
        for source in output.sources
        if source.reference is not None
        and treatment_of(source.column, analysis, policy)[0].protects
        and not allowed.admits_source(source)
    ]


def _add(uses: Uses, reference: Reference, column: Column, where: str) -> None:
    places = uses.setdefault((reference, column), [])
    if where not in places and not (places and where == "unused mention"):
        places.append(where)
