#!/usr/bin/env bash
# The viewer's tests with PySide6 in the place of PyQt6, in an environment beside .venv that borrows all else from it.
set -euo pipefail
cd "$(dirname "$0")/.."

BESIDE=.venv/pyside6
# From 6.11 on PySide6 drops references to None where None is counted (Python 3.11): opening a viewer costs 6000 of them,
# and after some twenty viewers the process ends. Python 3.12 does not count them.
WANTED="PySide6-Essentials>=6.8,<6.11"

if ! "$BESIDE/bin/python" -c 'import PySide6' 2>/dev/null; then
    .venv/bin/python -m venv --clear "$BESIDE"
    site=$("$BESIDE/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    shared=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$BESIDE/bin/python" -m pip --disable-pip-version-check install -q "$WANTED"
    echo "import site; site.addsitedir('$shared')" >"$site/borrowed.pth"
fi
QT_API=pyside6 scripts/with_display.sh "$BESIDE/bin/python" -m pytest -o qt_api=pyside6 -p no:cacheprovider tests/viewer
