#!/usr/bin/env bash
# Measure everything that is claimed about speed and memory, into benchmarks/results.json and docs/benchmarks.md.
#
# The peers of the comparisons are installed into .venv; none of them is a dependency of the product.
# TAKE     only benchmarks whose file name holds this word
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
$python -m pip --disable-pip-version-check install -q -c constraints.txt "torchio>=1.0,<2"

failed=()
for file in benchmarks/*.py; do
    # harness.py and report.py measure nothing; the others without results print what they find.
    case $(basename "$file") in harness.py | report.py) continue ;; esac
    [[ $(basename "$file") == *"${TAKE:-}"* ]] || continue
    echo "== $file"
    write=()
    grep -q "from harness import" "$file" && write=(--write)
    scripts/with_display.sh $python "$file" "${write[@]}" || failed+=("$file")
done
$python benchmarks/report.py
[ ${#failed[@]} -eq 0 ] || { echo "bench: failed: ${failed[*]}" >&2; exit 1; }
