"""Names for people whose own must not be seen: the same on one computer, and nothing to look up elsewhere."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
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
    own = home / f".{os.getpid()}-{_KEY_FILE}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            descriptor = os.open(own, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            _put(own, path)
    except OSError:
        pass
    try:
        return path.read_bytes() or secrets.token_bytes(32)
    except OSError:
        return secrets.token_bytes(32)


def _put(own: Path, path: Path) -> None:
    """Give the file ``own`` the name ``path``, unless that is taken by now.

    Of two processes that come at once only one may make the key, and neither may see it half written.
    """
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.replace(own, path)
    finally:
        with suppress(OSError):
            own.unlink(missing_ok=True)
