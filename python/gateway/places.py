"""Where in the configuration file something stands: every error of it names key, value and line.

Never prints what may be a secret.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError

_SECRET_KEYS = {
    "dsn", "admin_dsn", "control", "token_key", "authorization", "access_key", "secret_key",
    "secret", "key",
}  # fmt: skip


@contextmanager
def placed(path: Path, *keys: str | int) -> Iterator[None]:
    """Give an error of a room that reads these keys the file and the line on which they stand."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{where(path, path.read_text(), keys)}: {error.detail}") from None


def line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """The line (from 1) on which a key of the TOML text stands, or its nearest table.

    A number counts the tables of an array: ("issuers", 1, "audience") is in the second [[issuers]].
    """
    best: tuple[int, int] | None = None
    table: list[str | int] = []
    counts: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        header = re.match(r"(\[\[?)([^\]]+)\]\]?", stripped)
        if header is not None:
            table = [*_split_key(header[2])]
            if header[1] == "[[":
                table.append(counts[header[2]])
                counts[header[2]] += 1
            here = table
        else:
            name, equals, _ = stripped.partition("=")
            if not equals or stripped.startswith("#"):
                continue
            here = [*table, *_split_key(name)]
        depth = 0
        while depth < min(len(here), len(path)) and here[depth] == path[depth]:
            depth += 1
        if depth == len(here) and depth > 0 and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _split_key(dotted: str) -> list[str]:
    found = re.findall(r'"([^"]*)"|\'([^\']*)\'|([A-Za-z0-9_-]+)', dotted)
    return [a or b or c for a, b, c in found]


def sentence(path: Path, text: str, data: Any, item: Any) -> str:
    loc: tuple[str | int, ...] = tuple(part for part in item["loc"] if part != "[key]")
    value = data
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = None
            break
    key = ".".join(str(part) for part in loc)
    # A secret may stand under a mistyped key, or where a table belongs.
    unknown = item["type"] == "extra_forbidden" and loc[:1] != ("server",)
    worded = isinstance(value, str) and ("://" in value or unknown)
    hidden = value is None or worded or bool(_SECRET_KEYS.intersection(map(str, loc)))
    shown = "" if hidden else f" = {value!r}"
    said = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        said = "there is no such key"
    return f"{where(path, text, loc)}: {key}{shown}: {said}"


def where(path: Path, text: str, keys: tuple[str | int, ...]) -> str:
    line = line_of(text, keys)
    return f"{path}:{line}" if line else str(path)


def wrong(
    path: Path, text: str, keys: tuple[str | int, ...], value: object, why: str
) -> ConfigurationError:
    key = ".".join(str(part) for part in keys)
    return ConfigurationError(f"{where(path, text, keys)}: {key} = {value!r}: {why}")
