"""Write docs/benchmarks.md from benchmarks/results.json.

python benchmarks/report.py
"""

import itertools
import json
from pathlib import Path
from typing import Any

from harness import RESULTS

from napari_mmssl.atomic import write_text

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
#: Of a result: what the table has columns for, or what is told above it.
_TOLD = {
    *("name", "ours", "peer", "peer_name", "unit", "better", "ratio", "ratio_min", "ratio_max", "runs"),
    *("machine", "date", "load", "command", "details"),
}
_HEAD = """# Benchmarks

Written by `python benchmarks/report.py` from `benchmarks/results.json`; do not edit. `make bench` measures everything
again, on the machine at hand; each table names its command. Ours and the peer run in turn; a ratio is ours divided by
the peer's, the median of the pairs with the least and the greatest. Where runs scatter widely, something else was at
work on the machine: the range says so.
"""


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    results.sort(key=lambda result: (result["command"], result["name"]))
    parts = [_HEAD]
    for command, group in itertools.groupby(results, key=lambda result: result["command"]):
        parts.append(section(command, list(group)))
    write_text(PAGE, "\n".join(parts))


def section(command: str, results: list[dict[str, Any]]) -> str:
    script = command.split()[1]
    purpose = (Path(__file__).with_name(Path(script).name)).read_text(encoding="utf-8").split('"""')[1]
    title = purpose.strip().splitlines()[0].rstrip(".")
    machines = sorted({f"{result['date']}, {result['machine']}, load {result['load']}" for result in results})
    lines = [f"## {Path(script).stem}", "", f"{title}.", "", f"`{command}` ({'; '.join(machines)})", ""]
    lines += ["| name | with | ours | peer | unit | ratio | range | runs | peer is |", "|---" * 9 + "|"]
    for result in results:
        grown = ", ".join(f"{key} {value}" for key, value in result.items() if key not in _TOLD)
        arrow = "" if result["better"] == "lower" else " (higher is better)"
        spread = f"{result['ratio_min']:.3g} to {result['ratio_max']:.3g}"
        numbers = f"{result['ours']:.3g} | {result['peer']:.3g} | {result['unit']}{arrow} | **{result['ratio']:.3g}**"
        lines.append(
            f"| {result['name']} | {grown} | {numbers} | {spread} | {result['runs']} | {result['peer_name']} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
