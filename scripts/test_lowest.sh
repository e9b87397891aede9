#!/usr/bin/env bash
# The viewer's tests with the lowest versions that pyproject.toml allows, in an environment beside .venv; only torch is
# the one of constraints.txt. With Python 3.11: versions as old have no wheels for later ones.
#
# TORCH_ARGS  as in setup.sh
set -euo pipefail
cd "$(dirname "$0")/.."

BESIDE=.venv/lowest

if ! cmp -s pyproject.toml "$BESIDE/made-from.toml"; then
    python3.11 -m venv --clear "$BESIDE"
    # shellcheck disable=SC2086  # TORCH_ARGS is a list of words.
    "$BESIDE/bin/python" -m pip --disable-pip-version-check install -q ${TORCH_ARGS:-} -c constraints.txt torch uv
    "$BESIDE/bin/python" -c 'import importlib.metadata as m; print("torch==" + m.version("torch"))' >"$BESIDE/torch.txt"
    # pip knows the newest versions only.
    "$BESIDE/bin/uv" pip install -q --python "$BESIDE/bin/python" --resolution lowest-direct \
        --override "$BESIDE/torch.txt" -e . --group dev
    cp pyproject.toml "$BESIDE/made-from.toml"
fi
scripts/with_display.sh "$BESIDE/bin/python" -m pytest -p no:cacheprovider tests/viewer "$@"
