"""Keyrings for tests: one that works, and those that do not.

Their priority keeps keyring from choosing one of them by itself in the other tests.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Keeps passwords in the file that TEST_KEYRING_FILE names, so that they outlive a process as real ones do."""

    priority = -1

    @property
    def _path(self) -> Path:
        return Path(os.environ["TEST_KEYRING_FILE"])

    def _read(self) -> dict[str, str]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def get_password(self, service, username):
        return self._read().get(f"{service} {username}")

    def set_password(self, service, username, password):
        self._path.write_text(json.dumps({**self._read(), f"{service} {username}": password}))

    def delete_password(self, service, username):
        kept = self._read()
        if kept.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError("not there")
        self._path.write_text(json.dumps(kept))


class LockedKeyring(KeyringBackend):
    """The user closed the dialog that asks for its password."""

    priority = -1

    def get_password(self, service, username):
        raise KeyringLocked("locked")

    def set_password(self, service, username, password):
        raise KeyringLocked("locked")

    delete_password = get_password


class ForgetfulKeyring(KeyringBackend):
    """Takes everything and keeps nothing."""

    priority = -1

    def get_password(self, service, username):
        return None

    def set_password(self, service, username, password):
        pass

    delete_password = get_password
