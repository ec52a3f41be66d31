"""Prints what kernels did on the model of NVIDIA's GPUs, from the counts that it wrote.

`read` and `written` are bytes that items asked for over bytes of the sectors of 32 that were
moved: above one where items of a warp ask for the same words, below one where they ask for parts.
`local` is turns of local memory over the fewest: above one where banks meet.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path

CLASSES = ["integer", "product32", "product64", "double", "global", "shared", "local"]
CLASSES += ["branch", "barrier", "other"]
SECTOR, WARP = 32, 32
# Constants of a program that tell little.
SILENT = {"WG", "TILE", "LANES", "LAST", "SEED_WG", "ROWS"}


def name(row: dict) -> str:
    """The kernel and the constants of its program that are set."""
    constants = (part.split("=") for part in row["program"].split())
    told = [
        key if value == "1" else f"{key}={value}"
        for key, value in constants
        if key not in SILENT and value != "0"
    ]
    return " ".join([row["kernel"], *told]).lower()


def ratio(part: int, whole: int) -> str:
    return f"{part / whole:9.2f}" if whole else f"{'-':>9}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=Path)
    parser.add_argument("--rows", type=int, default=40, help="kernels to print, largest first")
    args = parser.parse_args()
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in args.counts.read_text().splitlines():
        row = json.loads(line)
        sums[name(row)].update({key: n for key, n in row.items() if isinstance(n, int)})

    def instructions(counts: Counter[str]) -> int:
        return sum(counts[kind] for kind in CLASSES)

    columns = ["launches", "M instr", "lanes", "read", "written", "local", "parted"]
    print(f"{'kernel':80}" + "".join(f"{column:>9}" for column in columns))
    largest = sorted(sums.items(), key=lambda item: -instructions(item[1]))
    for kernel, counts in largest[: args.rows]:
        total = instructions(counts)
        print(
            f"{kernel[:80]:80}{counts['launches']:9}{total / 1e6:9.1f}"
            + ratio(counts["instructions_of_items"], WARP * total)
            + ratio(counts["bytes_read"], SECTOR * counts["read_sectors"])
            + ratio(counts["bytes_written"], SECTOR * counts["written_sectors"])
            + ratio(counts["shared_turns"], counts["least_shared_turns"])
            + f"{counts['parted']:9}"
        )


if __name__ == "__main__":
    main()
