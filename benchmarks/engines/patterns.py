"""The ten patterns that every regular-expression engine here is given, with their labels.

Written for engines with ASCII digits and boundaries (RE2, Hyperscan); `ascii_only` gives the form
for engines whose classes are Unicode's. A bounded repetition or a boundary on each side, as a
careful user would write them; the kernel's own detectors look at more.
"""

from __future__ import annotations

#: Label -> pattern. No pattern has a capturing group, and none matches the empty string.
PATTERNS: dict[str, str] = {
    "[SSN]": r"\b\d{3}-\d{2}-\d{4}\b",
    "[PHONE]": r"\(\d{3}\) ?\d{3}-\d{4}\b|\b\d{3}[-.]\d{3}[-.]\d{4}\b",
    "[EMAIL]": r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b",
    "[IP]": r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b",
    "[URL]": r"https?://[!-~]+",
    "[DATE]": r"\b\d{1,2}/\d{1,2}/\d{4}\b|\b\d{4}-\d{2}-\d{2}\b",
    "[MRN]": r"\bMRN[:# ]{1,2}\d{6,10}\b",
    "[ZIP]": r"\b\d{5}-\d{4}\b",
    "[CARD]": r"\b\d{4}[- ]\d{4}[- ]\d{4}[- ]\d{4}\b|\b\d{16}\b",
    "[MBI]": r"\b[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d[AC-HJKMNP-RT-Y]"
    r"[0-9AC-HJKMNP-RT-Y]\d[AC-HJKMNP-RT-Y]{2}\d{2}\b",
}

#: One pattern for all, for engines that replace by one.
ALTERNATION = "|".join(f"(?:{pattern})" for pattern in PATTERNS.values())


def ascii_only(pattern: str) -> str:
    """The pattern for an engine whose \\d and \\b are Unicode's: as fast as they can be."""
    return pattern.replace(r"\d", "[0-9]").replace(r"\b", r"(?-u:\b)")
