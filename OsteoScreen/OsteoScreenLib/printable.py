"""Text that comes from outside (headers, names of files, what a user typed), made fit for one line of anything."""

from __future__ import annotations

import unicodedata

#: Longer texts are cut: no header's value that means something is so long.
LONGEST_TEXT = 2000

#: Control, format (direction overrides among them), unpaired, private and unassigned characters; line and paragraph
#: separators, which some programs take for the end of a line.
_UNFIT = ("C", "Zl", "Zp")


def printable(text: str, most: int = LONGEST_TEXT) -> str:
    """Return ``text`` on one line, a space for each character that is not to be seen, and at most ``most`` characters.

    A right-to-left override would otherwise be free to reverse a sentence, an escape sequence to change what a
    terminal shows, and a line break to begin a line of a log.
    """
    if len(text) > most:
        text = text[:most] + " …"
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(character).startswith(_UNFIT) else character for character in text)


def one_line(text: str, most: int = LONGEST_TEXT) -> str:
    """Return :func:`printable` text without blanks at its ends, and with one where there were several."""
    return " ".join(printable(text, most).split())
