"""Names for people whose own must not be seen: the same on one computer, and nothing to look up elsewhere."""

import hashlib
import hmac
import os
import secrets
from functools import cache
from pathlib import Path

import platformdirs

_KEY_FILE = "pseudonyms.key"
_N_LETTERS = 8


def pseudonym(identity: str) -> str:
    """Return eight hexadecimal letters for ``identity``, from a key that this user's account keeps.

    A plain hash of a patient's number is undone by trying all numbers; without the key this is not.
    """
    return hmac.new(_key(_home()), identity.encode(), hashlib.sha256).hexdigest()[:_N_LETTERS]


def _home() -> Path:
    home = os.environ.get("MMSSL_HOME")
    return Path(home) if home else Path(platformdirs.user_data_dir("napari-mmssl"))


@cache
def _key(home: Path) -> bytes:
    """Return the key, made at first use; one for this process alone where the folder cannot be written."""
    path = home / _KEY_FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        # Of two processes that come at once only one may make it.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    except OSError:
        pass
    try:
        return path.read_bytes() or secrets.token_bytes(32)
    except OSError:
        return secrets.token_bytes(32)
