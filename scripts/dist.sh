#!/usr/bin/env bash
# Build the wheel and the source archive into dist, look at what is in them, and run the wheel in an empty environment.
#
# SKIP_TRIAL  not empty: only build and look
# TORCH_ARGS  more arguments for pip when it installs torch, such as an --index-url for another build of it
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
pip=($python -m pip --disable-pip-version-check)
"${pip[@]}" install -q -c constraints.txt --group dist

# From what is committed: neither a stray file nor an old build folder can get in.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
git archive HEAD | tar x -C "$work/source"
rm -rf dist
$python -m build --outdir dist "$work/source" >"$work/build.log" || { tail -30 "$work/build.log" >&2; exit 1; }
$python -m twine check --strict dist/*
$python scripts/look_into_archives.py dist/*

[ -z "${SKIP_TRIAL:-}" ] || exit 0

echo "== the wheel in an empty environment"
$python -m venv "$work/empty"
trial=("$work/empty/bin/python" -m pip --disable-pip-version-check install -q -c constraints.txt)
# shellcheck disable=SC2086  # TORCH_ARGS is a list of words.
"${trial[@]}" ${TORCH_ARGS:-} torch
"${trial[@]}" dist/*.whl PyQt6
root=$PWD
cd "$work" # away from the sources: only what the wheel brought can be imported
export PATH="$work/empty/bin:$PATH" MMSSL_HOME="$work/home"
npe2 validate napari-mmssl
mmssl doctor || echo "dist: doctor found something to mend on this machine (above)"
"$root/scripts/with_display.sh" python "$root/scripts/try_wheel.py"
echo "dist: $(ls "$root"/dist | tr '\n' ' ')is good"
