#!/usr/bin/env bash
# Make ./.venv with everything that `make test` and `make demo` need. Does nothing when that is done already.
#
# PYTHON      the interpreter to use instead of the first fitting one on PATH
# TORCH_ARGS  more arguments for pip when it installs torch, such as an --index-url for another build of it
set -euo pipefail
cd "$(dirname "$0")/.."

STAMP=.venv/.complete

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        # Asked, not looked at: a name on PATH may be a shim for a version that is not there.
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11, 3.12 or 3.13 was found${PYTHON:+ as '$PYTHON'}; install one, or name it: make setup PYTHON=/path/to/python3"
}

# What was installed, and from what: a changed pin or another interpreter makes the stamp stale.
fingerprint() {
    "$1" - <<'PY'
import hashlib, pathlib, sys
files = ("pyproject.toml", "setup.cfg", "constraints.txt", "scripts/setup.sh")
print(hashlib.sha256(b"".join(pathlib.Path(f).read_bytes() for f in files) + sys.version.encode()).hexdigest())
PY
}

listed_packages() {
    PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 "$1" -c \
        'from napari_mmssl.workflows import system_packages as s; print(*s.OPENGL, *s.VIRTUAL_DISPLAY)'
}

is_installed() {
    # Newer releases add t64 to some names. dpkg-query fails when either name is unknown, which pipefail would pass on.
    local states
    states=$(dpkg-query -W -f '${db:Status-Status}\n' "$1" "${1}t64" 2>/dev/null || true)
    grep -qx installed <<<"$states"
}

install_system_packages() {
    local python=$1 package missing=() as_root=()
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
    if [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
        for package in $(listed_packages "$python"); do
            is_installed "$package" || missing+=("$package")
        done
    fi
    # Debian cuts these out of python3.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
        if ! sudo -n true 2>/dev/null; then
            say "not installed, for want of root: sudo apt-get install --no-install-recommends ${missing[*]}"
            return 0
        fi
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_python_packages() {
    local pip=(.venv/bin/python -m pip --disable-pip-version-check)
    .venv/bin/python -c 'import sys' 2>/dev/null || "$1" -m venv --clear .venv
    say "installing the Python packages into .venv (some minutes the first time)"
    # The pip that comes with older interpreters knows no --group.
    "${pip[@]}" install -q "pip>=25.1"
    # torch first and alone: the next resolution finds it installed and cannot swap it for another build.
    # shellcheck disable=SC2086  # TORCH_ARGS is a list of words.
    "${pip[@]}" install -q ${TORCH_ARGS:-} -c constraints.txt torch
    # Ignored: a long warning that an editable installation is one.
    PYTHONWARNINGS=ignore "${pip[@]}" install -q -c constraints.txt -e . --group dev
}

python=$(find_python)
wanted=$(fingerprint "$python")
install_system_packages "$python"
if [ "$(cat "$STAMP" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
rm -f "$STAMP"
install_python_packages "$python"
echo "$wanted" >"$STAMP"
say "done; activate it with: . .venv/bin/activate"
