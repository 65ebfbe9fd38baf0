"""A tar file that has one form: POSIX ustar, each member a plain file of nobody's, of no time.

Any tool can unpack it, and it can be written while it is sent. The auditor's script makes each
header again and compares it byte for byte, so none is free. The constants here and in
auditor/collection.py agree.
"""

from __future__ import annotations

BLOCK = 512
MEMBER_LIMIT = 8**11 - 1  # eleven octal digits
END = bytes(2 * BLOCK)


def header(name: str, size: int) -> bytes:
    """The block before a member's bytes."""
    if not 0 <= size <= MEMBER_LIMIT or not 0 < len(name.encode("ascii")) < 100:
        raise ValueError(f"{name}: {size} bytes do not fit a member")
    fields = (
        name.encode("ascii").ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,
        b"%011o\0" % size,
        b"0" * 11 + b"\0",
    )
    rest = b"0".ljust(101, b"\0") + b"ustar\0" + b"00" + bytes(247)
    # The sum is of the block with eight blanks in its place.
    total = sum(b"".join(fields)) + 8 * ord(" ") + sum(rest)
    return b"".join([*fields, b"%06o\0 " % total, rest])


def padding(size: int) -> bytes:
    """What stands behind a member of this size."""
    return bytes(-size % BLOCK)
