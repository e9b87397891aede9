#!/usr/bin/env bash
# Measure everything that is claimed about speed and memory, into benchmarks/results.json and docs/benchmarks.md.
#
# The peers of the comparisons are installed into .venv; none of them is a dependency of the product.
# TAKE     only benchmarks whose file name holds this word; also those without a peer, which print what they find
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
$python -m pip --disable-pip-version-check install -q -c constraints.txt "torchio>=1.0,<2"

failed=()
for file in benchmarks/*.py; do
    # harness.py and report.py measure nothing.
    case $(basename "$file") in harness.py | report.py) continue ;; esac
    [[ $(basename "$file") == *"${TAKE:-}"* ]] || continue
    write=()
    grep -qE "^(from harness|import harness)" "$file" && write=(--write)
    [ ${#write[@]} -gt 0 ] || [ -n "${TAKE:-}" ] || continue
    echo "== $file ($SECONDS s)"
    scripts/with_display.sh $python "$file" "${write[@]}" || failed+=("$file")
done
$python benchmarks/report.py
[ ${#failed[@]} -eq 0 ] || { echo "bench: failed: ${failed[*]}" >&2; exit 1; }
