"""Which encoding an Accept header asks for; Arrow when the client does not mind."""

from __future__ import annotations

from functools import lru_cache

from gateway.errors import NotAcceptable

ARROW = "application/vnd.apache.arrow.stream"

#: Media type → the kernel's name of the encoding, in the order of preference.
OFFERED = {
    ARROW: "arrow",
    "application/x-ndjson": "ndjson",
    "text/csv": "csv",
}
MEDIA_TYPES = {
    "arrow": ARROW,
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
}


@lru_cache(maxsize=64)
def negotiate(accept: str | None) -> str:
    """The encoding with the highest quality (RFC 9110, 12.5.1). Raises NotAcceptable."""
    if accept is None or not accept.strip():
        return "arrow"
    best: tuple[float, int] | None = None
    chosen = ""
    ranges = [_range(part) for part in accept.split(",")]
    for place, (media, name) in enumerate(OFFERED.items()):
        matching = [
            (specificity, quality)
            for pattern, quality in ranges
            if (specificity := _specificity(pattern, media)) is not None
        ]
        if not matching:
            continue
        _, quality = max(matching)
        if quality > 0 and (best is None or (quality, -place) > best):
            best = (quality, -place)
            chosen = name
    if best is None:
        raise NotAcceptable(
            "none of the accepted media types is offered",
            hint=f"Accept one of {', '.join(OFFERED)}",
        )
    return chosen


def _range(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
    return media.lower(), quality


def _specificity(pattern: str, media: str) -> int | None:
    if pattern == media:
        return 2
    if pattern == media.partition("/")[0] + "/*":
        return 1
    return 0 if pattern == "*/*" else None
