#!/usr/bin/env bash
# The viewer's tests with PySide6 in the place of PyQt6, in an environment beside .venv that borrows all else from it.
set -euo pipefail
cd "$(dirname "$0")/.."

BESIDE=.venv/pyside6
# PySide6 6.12 drops references to None, and Python 3.11 counts them: opening a viewer costs 6000 of some 100 000, showing
# 200 slices as many again, and then the process ends. 6.10 drops none; Python 3.12 does not count them.
WANTED="PySide6-Essentials>=6.8,<6.11"

if ! "$BESIDE/bin/python" -c 'import PySide6' 2>/dev/null; then
    .venv/bin/python -m venv --clear "$BESIDE"
    site=$("$BESIDE/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    shared=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$BESIDE/bin/python" -m pip --disable-pip-version-check install -q "$WANTED"
    echo "import site; site.addsitedir('$shared')" >"$site/borrowed.pth"
fi
QT_API=pyside6 scripts/with_display.sh "$BESIDE/bin/python" -m pytest -o qt_api=pyside6 -p no:cacheprovider tests/viewer
