"""Names for studies that say nothing of the patient."""

from __future__ import annotations

import base64
import hashlib
import re

LONGEST_ID = 100
#: What an id is written with: it names a folder on every system.
_ID = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9._-]{{0,{LONGEST_ID - 2}}}[A-Za-z0-9_-])?", re.ASCII)
#: Names of devices, which Windows lets no file have, whatever its suffix.
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?", re.IGNORECASE)
#: Ten bytes are sixteen letters; two of ten million studies share them with a probability of 4e-11.
_HASH_BYTES = 10


def is_study_id(text: str) -> bool:
    """Return whether a text may name a study: 1 to 100 letters, digits, ``.``, ``_`` and ``-``, fit for a folder."""
    return _ID.fullmatch(text) is not None and _DEVICES.fullmatch(text) is None


def hashed_id(*parts: str) -> str:
    """Return the same id for the same parts, such as a path below the root of a tree.

    Nobody reads a name out of it; whoever has the archive, or a list of names, can still find out which study it is.
    """
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "big") + data)
    return base64.b32encode(digest.digest()).decode("ascii").lower()
