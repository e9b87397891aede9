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
    *("machine", "date", "load", "command", "details", "remark"),
}
#: What is wanted of a ratio: at most (or, where more is better, at least) this; and of ours by itself.
_WANTED = {
    "case_open": 1.3,
    "case_open_monai": 1 / 3,
    "cohort_index": 1.3,
    "feed_wait_finetuning_2_300": 1.05,
    "feed_wait_pretraining_2_100": 1.05,
    "feed_wait_pretraining_2_300": 1.05,
    "gui_gap": 2.0,
    "patch_feed": 3.0,
    "patch_feed_torchio": 3.0,
    "sliding_window_memory": 0.6,
    "sliding_window_time": 1.05,
    "topology_loss": 1 / 20,
    "topology_loss_inter": 1 / 20,
}
_OURS_WANTED = {"gui_gap": 100.0, "next_case_replaced": 200.0}
_HEAD = """# Benchmarks

Written by `python benchmarks/report.py` from `benchmarks/results.json`; do not edit. `make bench` measures everything
again, on the machine at hand; each table names its command. Ours and the peer run in turn; a ratio is ours divided by
the peer's, the median of the pairs with the least and the greatest. Where runs scatter widely, something else was at
work on the machine: the range says so.
"""


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    results.sort(key=lambda result: (result["command"], result["name"]))
    parts = [_HEAD, wanted(results)]
    for command, group in itertools.groupby(results, key=lambda result: result["command"]):
        parts.append(section(command, list(group)))
    write_text(PAGE, "\n".join(parts))


def wanted(results: list[dict[str, Any]]) -> str:
    """Return the table of what was promised, and whether it was reached."""
    lines = ["## What was wanted", "", "| name | wanted | measured | |", "|---|---|---|---|"]
    for result in sorted(results, key=lambda result: str(result["name"])):
        name, low = result["name"], result["better"] == "lower"
        for value, bound, unit in (
            (result["ratio"], _WANTED.get(name), f"of {result['peer_name']}"),
            (result["ours"], _OURS_WANTED.get(name), result["unit"]),
        ):
            if bound is not None:
                reached = value <= bound if low else value >= bound
                bounded = f"{'at most' if low else 'at least'} {bound:.3g} {unit}"
                lines.append(f"| {name} | {bounded} | {value:.3g} | {'reached' if reached else '**missed**'} |")
    missing = sorted({*_WANTED, *_OURS_WANTED} - {result["name"] for result in results})
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    return "\n".join([*lines, ""])


def section(command: str, results: list[dict[str, Any]]) -> str:
    script = command.split()[1]
    purpose = (Path(__file__).with_name(Path(script).name)).read_text(encoding="utf-8").split('"""')[1]
    title = purpose.strip().splitlines()[0].rstrip(".")
    machines = sorted(
        {f"{result['date']}, {result['machine']}, load {result.get('load', 'not kept')}" for result in results}
    )
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
    # Of this measurement only: the next one takes its place.
    lines += [f"\n{remark}" for remark in sorted({result["remark"] for result in results if "remark" in result})]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
