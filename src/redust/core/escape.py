"""Text that others wrote (file names, metadata, model cards), made safe to show on a terminal or in a log."""

from __future__ import annotations

import re

# Control characters, line separators, marks that reverse the writing direction, and bytes that are not UTF-8.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str, *, keep: str = "") -> str:
    r"""Escape what would control a terminal, start a new line, or cannot be encoded.

    Parameters
    ----------
    keep
        Characters that are left as they are, such as a line feed.

    Returns
    -------
    escaped
        One line of printable characters; a byte that is not UTF-8 reads ``\xff``.

    Examples
    --------
    >>> print(escape_controls("a\x1b[2J\n\udcff.tif"))
    a\x1b[2J\n\xff.tif
    """
    return _UNSAFE.sub(lambda match: match[0] if match[0] in keep else _escape_character(match[0]), text)


def _escape_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name, as Python carries it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
