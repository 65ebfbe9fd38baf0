"""Step 4: from lineage to one treatment an output column, or a refusal that says what to write.

The rule for whatever runs: a protected column may appear as a bare output column and in no other
way. Every other use (an expression, a predicate, a join, grouping, ordering, a limit, a mention
that is not selected, arms of a UNION with different treatments) is refused. With
`expressions = "mask-at-source"` a statement of such uses has been rewritten before it comes here,
and the rule is the proof that the rewriting holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from gateway.errors import OutOfScope, ProtectedUse
from gateway.model import (
    Analysis,
    Column,
    ColumnDecision,
    Decision,
    Grant,
    Output,
    Shape,
    Treatment,
)
from gateway.policy.rules import Policy

#: How often one statement may select the same protected column.
_MOST_REPEATED = 4
#: Column types whose text the detectors read when `text = "scan"`.
_TEXT_KINDS = frozenset({"text", "json", "jsonb", "enum"})


def decide(grant: Grant, analysis: Analysis, policy: Policy) -> Decision:
    """One treatment for each output column of the statement, with its reason.

    Raises OutOfScope when a relation is outside the grant, ProtectedUse when a protected column is
    used otherwise than as a bare output column.
    """
    check_scope(grant, analysis, policy)
    for use in (*analysis.control, *analysis.mentions):
        treatment, reason = treatment_of(use.column, analysis, policy)
        if treatment.protects:
            raise misuse(use.column, treatment, reason, use.where)
    _check_repetition(analysis, policy)
    columns = tuple(treat(output, analysis, policy) for output in analysis.outputs)
    return Decision(columns=columns, policy_hash=policy.hash, notes=analysis.notes)


def treatment_of(column: Column, analysis: Analysis, policy: Policy) -> tuple[Treatment, str]:
    """The treatment of a column of the statement, closed over what it shares protection with."""
    return policy.treatment_of(column, analysis.related.get(column, ()), analysis.inherited)


def _check_repetition(analysis: Analysis, policy: Policy) -> None:
    """A protected column many times over in one row would tell, by the limit on a row's bytes, how
    long its value is."""
    times = Counter(column for output in analysis.outputs for column in output.columns)
    for column, count in times.items():
        treatment, reason = treatment_of(column, analysis, policy)
        if count > _MOST_REPEATED and treatment.protects:
            raise ProtectedUse(
                f"{column} is protected ({reason}) and is selected {count} times",
                hint=f"select it at most {_MOST_REPEATED} times",
            )


def check_scope(grant: Grant, analysis: Analysis, policy: Policy) -> None:
    """Raises OutOfScope when the statement names a relation that the grant does not cover."""
    if "*" in grant.tables:
        outside = [name for name in analysis.tables if not _classified(name, analysis, policy)]
        scope = "every table the policy classifies"
    else:
        outside = [name for name in analysis.tables if name not in grant.tables]
        scope = ", ".join(grant.tables)
    if outside:
        raise OutOfScope(
            f"{', '.join(sorted(outside))} is outside the grant, which covers {scope}",
            hint="ask for a grant that names it: POST /v1/grants",
        )


def _classified(name: str, analysis: Analysis, policy: Policy) -> bool:
    schema, _, table = name.partition(".")
    return policy.classifies(schema, table) or name in analysis.views


def treat(output: Output, analysis: Analysis, policy: Policy) -> ColumnDecision:
    """The treatment of one output column. Raises ProtectedUse when there is none."""
    found = [(column, *treatment_of(column, analysis, policy)) for column in output.columns]
    names = tuple(str(column) for column in output.columns)
    protected = [entry for entry in found if entry[1].protects]
    if not protected:
        return _masked(output, _clear(output, policy, names))
    column, treatment, reason = protected[0]
    if treatment.name == "deny":
        raise denied(column, reason)
    if output.shape is Shape.COMPUTED:
        raise misuse(column, treatment, reason, f"an expression (output column {output.name!r})")
    if any(entry[1] != treatment for entry in found):
        raise ProtectedUse(
            f"output column {output.name!r} mixes {', '.join(names)}, whose treatments differ",
            hint="select them as separate columns, or in separate statements",
        )
    return _masked(output, ColumnDecision(output.name, treatment, _because(reason, found), names))


def _masked(output: Output, decision: ColumnDecision) -> ColumnDecision:
    """The decision, with what it owes to columns that were NULL at their source."""
    if not output.masked:
        return decision
    names = tuple(str(column) for column in output.masked)
    reason = f"{', '.join(names)} NULL at source; {decision.reason}"
    if output.blank and not output.columns:
        # Nothing but NULL can come; the kernel makes sure of it.
        return ColumnDecision(output.name, Treatment("null"), reason, (), names)
    return replace(decision, reason=reason, masked_at_source=names)


def _clear(output: Output, policy: Policy, names: tuple[str, ...]) -> ColumnDecision:
    kind = _innermost_kind(output)
    # The detectors would take a date that the statement itself has written out for one of a text.
    scanned = policy.scan_clear_text and kind in _TEXT_KINDS and output.free_text
    reason = "clear" if names else "computed without a table's column"
    if scanned:
        reason += ", and its text is scanned"
    return ColumnDecision(output.name, Treatment("clear", {"scan": scanned}), reason, names)


def _innermost_kind(output: Output) -> str:
    kind = output.type
    while kind.get("kind") == "array":
        kind = kind["element"]
    return str(kind.get("kind"))


def _because(reason: str, found: Iterable[tuple[Column, Treatment, str]]) -> str:
    reasons = dict.fromkeys([reason, *(entry[2] for entry in found)])
    return "; ".join(reasons)


def denied(column: Column, reason: str) -> ProtectedUse:
    """The refusal of a column that nobody may select."""
    return ProtectedUse(
        f"{column} may not be selected ({reason})",
        hint=f"leave {column.name} out of the select list",
    )


def misuse(column: Column, treatment: Treatment, reason: str, where: str) -> ProtectedUse:
    """The refusal of a use of a protected column, with what to write instead."""
    hints = {
        "deny": f"leave {column.name} out of the statement",
        "unused mention": f"name the columns you need instead of * and leave {column.name} out",
    }
    if " view " in where:
        hints[where] = "the view's own query uses it: read the tables that the view is made from"
    hint = hints.get(treatment.name) or hints.get(
        where,
        f"select {column.name} as a plain column (it comes back as {treatment.name}) and use "
        "columns that are clear for filtering, joining, grouping and ordering",
    )
    return ProtectedUse(f"{column} is protected ({reason}) and is used in {where}", hint=hint)
