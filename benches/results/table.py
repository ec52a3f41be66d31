"""Prints the table of benches/README.md from a results file.

python benches/results/table.py benches/results/<file>.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def duration(ns: float) -> str:
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= factor:
            return f"{ns / factor:.3g} {unit}"
    return f"{ns:.0f} ns"


def versus(record: str, ratio: dict) -> str:
    _, name, peer = ratio["peer"].split("/", 2)
    if not ratio["cpu"]:
        return f"{name}: not run here"
    cpu = ratio["cpu"]
    doubt = "" if ratio["verified"] else ", not verified"
    if cpu["median"] > 3:  # a ruler, not a rival
        return f"time of {cpu['median']:.0f} {name} `{peer}`{doubt}"
    low, high = sorted((1 / cpu["low"], 1 / cpu["high"]))
    other = "" if peer == record else f" `{peer}`"
    return f"{name}{other} {1 / cpu['median']:.3g}x ({low:.3g} to {high:.3g}){doubt}"


def main(path: str) -> None:
    records = json.loads(Path(path).read_text())
    print("| id | processor time | error | peak MiB | times as fast as, with 95 % interval |")
    print("|---|---|---|---|---|")
    for r in records:
        if r["id"].startswith("peer/"):
            continue
        if "failed" in r or not r["verified"]:
            print(f"| `{r['id']}` | failed or wrong | | | |")
            continue
        cells = [
            f"`{r['id']}`",
            duration(r["median_cpu_ns"]),
            f"{r['max_error']:.0e}" if r["max_error"] else "exact",
            f"{r['peak_bytes'] / 2**20:.0f}",
            "; ".join(versus(r["id"], ratio) for ratio in r.get("ratios", [])) or "-",
        ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
