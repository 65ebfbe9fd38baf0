"""Which servers an agent's SQL may be shown to, by the version that the server states.

Refuses a minor version in which a person who may run a SELECT can get at what no right of his
covers, pre-releases, forks whose version cannot be read, and major versions whose trees the kernel
does not know. There is no setting to override it.
"""

from __future__ import annotations

import re

from gateway.errors import UpstreamFailed

#: The first minor version of each major one without the holes named below. 18 was released without
#: the first of them.
FLOOR = {15: 18, 16: 14, 17: 10, 18: 4}

_HOLES = (
    # from 15.14, 16.10 and 17.6 on
    "CVE-2025-8713, which shows planner statistics to users without rights",
    # from 15.16, 16.12, 17.8 and 18.2 on
    "CVE-2026-2003, which shows the server's memory to any statement",
    # from 15.18, 16.14, 17.10 and 18.4 on
    "CVE-2026-6473, which lets any statement overwrite the server's memory",
)

# "17.10", "15.18 (Debian 15.18-0+deb12u1)", "16.14-vendor.2"; not "18beta1" or "19devel".
_VERSION = re.compile(r"(?a:(\d{2})\.(\d{1,3})(?:\.\d+)?(?:[ -].*)?)", re.DOTALL)


def check(stated: str) -> tuple[int, int]:
    """Major and minor of the server_version that a server states. Raises UpstreamFailed."""
    found = _VERSION.fullmatch(stated)
    if found is None:
        raise UpstreamFailed(
            f"the server states its version as {stated[:60]!r}; a release such as 17.10 is needed"
        )
    major, minor = int(found[1]), int(found[2])
    floor = FLOOR.get(major)
    if floor is None:
        raise UpstreamFailed(
            f"PostgreSQL {major} is not known here; versions {min(FLOOR)} to {max(FLOOR)} are"
        )
    if minor < floor:
        raise UpstreamFailed(
            f"PostgreSQL {major}.{minor} may have {'; '.join(_HOLES)}; "
            f"{major}.{floor} or later is needed"
        )
    return major, minor
