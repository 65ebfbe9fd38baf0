"""What happens to each column of a table that is no database's: a policy for files and frames.

Rules name columns exactly. Refuses, before any row: a column that no rule names (unless there is a
`default`), a rule that names no column, a table of which no column is left, and the options that
are about SQL: nobody compares or joins here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError, InvalidRequest
from gateway.model import Treatment
from gateway.patterns import NONE, Definitions
from gateway.treatments import KEYED, companions, parse_treatment

Spec = str | Mapping[str, Any]

#: What a policy file may say beside its columns, with the types.
_SETTINGS: Mapping[str, type] = {
    "default": object,
    "text": str,
    "domain": str,
    "key": str,
    "key_id": str,
    "columns": dict,
    "types": dict,
    "patterns": dict,
    "dictionaries": dict,
}


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """Exact names to treatments. `default` is for columns that no rule names; None refuses them.
    `scan_clear_text`: text in clear columns still goes through the detectors."""

    columns: Mapping[str, Treatment]
    default: Treatment | None = None
    scan_clear_text: bool = True
    absent_allowed: bool = False
    definitions: Definitions = NONE

    @classmethod
    def parse(
        cls,
        columns: Mapping[str, Spec],
        *,
        default: Spec | None = None,
        text: str = "scan",
        absent: str = "refuse",
        definitions: Definitions = NONE,
    ) -> ColumnRules:
        """From the words of a policy. Raises ConfigurationError with the rule that is wrong."""

        def treatment(where: str, spec: Spec) -> Treatment:
            return _treatment(where, spec, definitions.names)

        rules = {name: treatment(f"column {name!r}", spec) for name, spec in columns.items()}
        if text not in ("scan", "clear"):
            raise ConfigurationError(f'text = {text!r}: write "scan" or "clear"')
        if absent not in ("refuse", "ignore"):
            raise ConfigurationError(f'absent = {absent!r}: write "refuse" or "ignore"')
        unnamed = None if default is None else treatment("default", default)
        return cls(rules, unnamed, text == "scan", absent == "ignore", definitions)

    def treatments(self, names: Sequence[str]) -> list[Treatment]:
        """One for each column of a table with these names.

        Raises InvalidRequest for names that no rule covers and for rules without a column.
        """
        unnamed = [name for name in dict.fromkeys(names) if name not in self.columns]
        if unnamed and self.default is None:
            raise InvalidRequest(
                f"no rule names {_listed(unnamed)}",
                hint="name each column, or give a default for the others: "
                "redact is safe, clear lets them through",
            )
        absent = [name for name in self.columns if name not in set(names)]
        if absent and not self.absent_allowed:
            raise InvalidRequest(
                f"there is no {_listed(absent)}, which the policy names; there are "
                f"{_listed(list(names)) if names else 'no columns'}",
                hint="names are compared exactly, case and blanks included",
            )
        found = [self.columns.get(name, self.default) for name in names]
        treatments = [treatment for treatment in found if treatment is not None]
        if all(treatment.name == "deny" for treatment in treatments):
            raise InvalidRequest("no column is left: all that there are have the treatment deny")
        return treatments

    def beside(self, names: Sequence[str], treatments: Sequence[Treatment]) -> list[list[int]]:
        """For each column the places of those whose values its treatment needs from the same row:
        the `row` of a scan, the subject of a shift.

        Raises InvalidRequest for one that is not there, or there twice.
        """
        found = []
        for name, treatment in zip(names, treatments, strict=True):
            others = companions(treatment)
            for other in others:
                if list(names).count(other) != 1 or other == name:
                    raise InvalidRequest(
                        f"column {name!r} needs the column {other!r} of its row: there must be "
                        "one, and another one"
                    )
            found.append([list(names).index(other) for other in others])
        return found

    def needs_key(self) -> bool:
        """Whether some treatment is made with the token key."""
        every = [*self.columns.values(), *([self.default] if self.default else [])]
        return any(treatment.name in KEYED for treatment in every)

    def without_domain(self) -> str | None:
        """The first rule whose treatment needs a domain and names none."""
        rules = [*self.columns.items(), *([("default", self.default)] if self.default else [])]
        for name, treatment in rules:
            if treatment.name in KEYED and not treatment.options.get("domain"):
                return name
        return None


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The `[mask]` section of a TOML file."""

    columns: Mapping[str, Spec] = field(default_factory=dict)
    default: Spec | None = None
    text: str = "scan"
    domain: str | None = None
    key: Path | None = None
    key_id: str = "k1"
    types: Mapping[str, str] = field(default_factory=dict)
    patterns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dictionaries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folder: Path = Path()

    @classmethod
    def load(cls, path: Path) -> PolicyFile:
        """Raises ConfigurationError for a file that cannot be read and keys that are unknown."""
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigurationError(f"{path}: there is no such policy file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: cannot be read: {type(error).__name__}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path}: not TOML: {error}") from None
        section = document.pop("mask", None)
        if not isinstance(section, dict) or document:
            other = f"; it has [{next(iter(document))}]" if document else ""
            raise ConfigurationError(
                f"{path}: a policy for files has one section, [mask], with [mask.columns]{other}"
            )
        for name, value in section.items():
            kind = _SETTINGS.get(name)
            if kind is None:
                known = ", ".join(_SETTINGS)
                raise ConfigurationError(f"{path}: mask.{name} is unknown; there are {known}")
            if not isinstance(value, kind):
                words = {"str": "text", "dict": "a table"}[kind.__name__]
                raise ConfigurationError(f"{path}: mask.{name} must be {words}")
        check_types(section.get("types", {}))
        key = section.pop("key", None)
        if key is not None and not key.startswith("file:"):
            raise ConfigurationError(f"{path}: mask.key: write file:PATH")
        place = None if key is None else path.parent / key.removeprefix("file:")
        return cls(**section, key=place, folder=path.parent)


def check_types(types: Mapping[str, object]) -> None:
    """Types of CSV's columns. Raises ConfigurationError for what is none."""
    for name, kind in types.items():
        if not isinstance(kind, str) or (kind not in ("date", "timestamp") and "%" not in kind):
            raise ConfigurationError(
                f'column {name!r}: the type is "date", "timestamp" or a form such as "%m/%d/%Y"'
            )
    forms = {kind for kind in types.values() if "%" in str(kind)}
    if len(forms) > 1:
        raise ConfigurationError("types have one form with % at most: dates could be read by both")


def _treatment(where: str, spec: Spec, patterns: Sequence[str]) -> Treatment:
    if not isinstance(spec, str | Mapping):
        raise ConfigurationError(f"{where}: write a treatment's name, or a table with its options")
    try:
        return parse_treatment(spec, patterns)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"column {shown}{more}" if len(names) == 1 else f"columns {shown}{more}"
