"""What a policy looks for in texts beside the detectors: patterns and dictionaries of its own.

Reads the files of dictionaries and has the kernel compile everything together, once. Refuses what
the kernel refuses, files that are too large or no text, and keys it does not know. Neither a
message nor the canonical wording quotes a word of a dictionary: it may hold people's names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from gateway._kernel import Patterns
from gateway.errors import ConfigurationError

#: Bytes of a dictionary's file.
_LARGEST_FILE = 2 << 20

#: What a pattern and a dictionary may say, with the types.
_KEYS: Mapping[str, Mapping[str, type]] = {
    "patterns": {"regex": str, "label": str, "clear": bool},
    "dictionaries": {"words": list, "file": str, "label": str, "clear": bool},
}


@dataclass(frozen=True, slots=True)
class Definitions:
    """The patterns and dictionaries of a policy, compiled. `text`: their wording for evidence, a
    dictionary by the number and the BLAKE3 of its entries. Without any, `kernel` is None."""

    text: str = ""
    kernel: Patterns | None = None

    @classmethod
    def parse(
        cls,
        patterns: Mapping[str, Mapping[str, Any]],
        dictionaries: Mapping[str, Mapping[str, Any]],
        folder: Path = Path(),
    ) -> Definitions:
        """From the words of a policy; `folder` is where paths of files begin.

        Raises ConfigurationError that begins with `patterns.NAME` or `dictionaries.NAME`.
        """
        found = [_pattern(name, given) for name, given in patterns.items()]
        found += [_dictionary(name, given, folder) for name, given in dictionaries.items()]
        if not found:
            return NONE
        try:
            kernel = Patterns(json.dumps([one.definition for one in found]))
        except ConfigurationError as error:
            name, _, sentence = error.detail.partition(": ")
            where = next((one.where for one in found if one.definition["name"] == name), None)
            if where is None:
                where, sentence = "patterns", error.detail
            raise ConfigurationError(f"{where}: {sentence}") from None
        return cls("\n".join(one.text for one in found), kernel)

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the policy, patterns first."""
        return () if self.kernel is None else self.kernel.names

    @property
    def labels(self) -> tuple[str, ...]:
        """What they write in the place of what they find, brackets included."""
        return () if self.kernel is None else self.kernel.labels


NONE = Definitions()


@dataclass(frozen=True, slots=True)
class _Found:
    """One of them: where it stands, for the kernel, for evidence."""

    where: str
    definition: Mapping[str, Any]
    text: str


def _pattern(name: str, given: Mapping[str, Any]) -> _Found:
    where = _checked("patterns", name, given)
    if "regex" not in given:
        raise ConfigurationError(f"{where}: give a regex")
    return _found(where, name, given, {"regex": given["regex"]}, {"regex": given["regex"]})


def _dictionary(name: str, given: Mapping[str, Any], folder: Path) -> _Found:
    where = _checked("dictionaries", name, given)
    if ("words" in given) == ("file" in given):
        raise ConfigurationError(f"{where}: give words or a file")
    if "file" in given:
        words = _entries(f"{where}.file = {given['file']!r}", folder / given["file"])
    else:
        words = given["words"]
        if not all(isinstance(word, str) for word in words):
            raise ConfigurationError(f"{where}.words: write a list of texts")
    try:
        digest = blake3("\n".join(words).encode()).hexdigest()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{where}.words: some have half a surrogate pair") from None
    told = {"entries": len(words), "blake3": digest}
    return _found(where, name, given, {"words": list(words)}, told)


def _found(
    where: str,
    name: str,
    given: Mapping[str, Any],
    definition: Mapping[str, Any],
    told: Mapping[str, Any],
) -> _Found:
    general = {"label": given.get("label", name.upper()), "clear": given.get("clear", True)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**told, **general}.items()]
    text = "\n".join([f"[{where}]", *lines, ""])
    return _Found(where, {"name": name, **general, **definition}, text)


def _checked(section: str, name: str, given: object) -> str:
    """Where it stands. Raises ConfigurationError for keys and types that are not its own."""
    where = f"{section}.{name}"
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{where}: write a table: [{where}]")
    for key, value in given.items():
        kind = _KEYS[section].get(key)
        if kind is None:
            known = ", ".join(_KEYS[section])
            raise ConfigurationError(f"{where}.{key}: there is no such key; there are {known}")
        if type(value) is not kind and not (kind is list and isinstance(value, tuple)):
            raise ConfigurationError(f"{where}.{key} must be a {kind.__name__}")
    return where


def _entries(where: str, path: Path) -> list[str]:
    """One entry a line; blank lines are none."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"{where}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"{where}: a path has no zero characters") from None
    if len(data) > _LARGEST_FILE:
        raise ConfigurationError(f"{where}: is larger than {_LARGEST_FILE:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where}: is not UTF-8") from None
    return list(_lines(text))


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\r", "\n").split("\n"):
        if entry := line.strip():
            yield entry
