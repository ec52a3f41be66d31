"""Turns the reports of a Vitis build into the tables of this project.

    python fpga/vitis/collect.py BUILD_FOLDER --card u280 --butterflies 8 --out vitis.json

Reads what `build.sh` leaves behind: `*_csynth.xml` of each kernel (Vitis HLS), and Vivado's reports
of utilisation and timing after routing, wherever they lie below the folder. A report that is not
there is named and left out; a report that cannot be read is an error. The keys are those of
fpga/results/rtl-twin.json, so rows can stand side by side.

UNTESTED with files of a real build: the test has reports written by hand in the same format.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

KERNELS = ("ringloom_ntt", "ringloom_eltwise", "ringloom_gadget")
# Names of Vitis HLS, and rows of Vivado's table, for the columns of this project.
HLS = {"DSP": "DSP", "LUT": "LUT", "FF": "FF", "BRAM_18K": "RAMB18", "URAM": "URAM"}
VIVADO = {
    r"CLB LUTs\*?": "LUT",
    r"CLB Registers": "FF",
    r"RAMB36/FIFO\*?": "RAMB36",
    r"RAMB18": "RAMB18",
    r"URAM": "URAM",
    r"DSPs|DSP Slices": "DSP",
}

Row = dict[str, object]


class Unreadable(Exception):
    """A report without what it should have."""


def text(root: ET.Element, path: str, file: Path) -> str:
    found = root.findtext(path)
    if found is None or not found.strip():
        raise Unreadable(f"{file}: expected <{path}>, got none")
    return found.strip()


def synthesis(file: Path) -> tuple[Row, Row, Row]:
    """Area, clock and cycles that Vitis HLS estimates for one kernel."""
    try:
        root = ET.parse(file).getroot()
    except ET.ParseError as error:
        raise Unreadable(f"{file}: expected XML, got {error}") from error
    top = text(root, "UserAssignments/TopModelName", file)
    stage = {"module": top, "stage": "estimate of Vitis HLS"}
    area: Row = dict(stage)
    for name, column in HLS.items():
        area[column] = int(text(root, f"AreaEstimates/Resources/{name}", file))
    timing = "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod"
    clock = stage | {"MHz": round(1000 / float(text(root, timing, file)), 2)}
    latency = "PerformanceEstimates/SummaryOfOverallLatency/"
    cycles: Row = dict(stage)
    for name in ("Best-caseLatency", "Worst-caseLatency"):
        value = text(root, latency + name, file)
        # Loops with bounds that are known at run time only have no number.
        cycles[name] = int(value) if value.isdigit() else value
    return area, clock, cycles


def utilisation(file: Path) -> Row:
    """The first count of each kind in Vivado's tables."""
    row: Row = {"module": file.stem, "stage": "routed"}
    for line in file.read_text("utf-8", "replace").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 2 or not cells[1].isdigit():
            continue
        for pattern, column in VIVADO.items():
            if re.fullmatch(pattern, cells[0]):
                row.setdefault(column, int(cells[1]))
    if "LUT" not in row:
        raise Unreadable(f"{file}: expected a row `CLB LUTs`, got none")
    return row


def timing(file: Path) -> list[Row]:
    """The clocks of Vivado's summary with their periods, and the worst slack."""
    lines = file.read_text("utf-8", "replace").splitlines()
    slack = next((i for i, line in enumerate(lines) if line.split()[:1] == ["WNS(ns)"]), None)
    numbers = lines[slack + 2].split() if slack is not None and slack + 2 < len(lines) else []
    if not numbers:
        raise Unreadable(f"{file}: expected a table with WNS(ns), got none")
    rows = []
    for line in lines:
        # Name, {rise fall}, period, frequency.
        if match := re.match(r"(\S*kernel\S*)\s+\{[^}]*\}\s+([\d.]+)\s+([\d.]+)\s*$", line):
            name, period, _ = match.groups()
            row = {"module": name, "stage": "routed", "worst slack, ns": float(numbers[0])}
            rows.append(row | {"MHz": round(1000 / float(period), 2)})
    if not rows:
        raise Unreadable(f"{file}: expected a clock with `kernel` in its name, got none")
    return rows


def collect(folder: Path) -> tuple[dict[str, list[Row]], list[str]]:
    """The tables, and what was not there."""
    tables: dict[str, list[Row]] = {"area": [], "clock": [], "cycles": []}
    missing = []
    for kernel in KERNELS:
        files = sorted(folder.rglob(f"{kernel}_csynth.xml"))
        if not files:
            missing.append(f"{kernel}_csynth.xml")
            continue
        for name, row in zip(tables, synthesis(files[0]), strict=True):
            tables[name].append(row)
    for pattern, read in (
        ("*utilization*routed*.rpt", utilisation),
        ("*timing*routed*.rpt", timing),
    ):
        files = sorted(folder.rglob(pattern))
        if not files:
            missing.append(pattern)
        for file in files:
            rows = read(file)
            if isinstance(rows, list):
                tables["clock"] += rows
            else:
                tables["area"].append(rows)
    return tables, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what build.sh has made")
    parser.add_argument("--card", required=True, help="the card, as on its box")
    parser.add_argument("--butterflies", type=int, required=True, choices=(4, 8, 16, 32))
    parser.add_argument("--width", type=int, default=50, choices=(50, 32), help="bits of a word")
    parser.add_argument("--tools", default="", help="what `v++ --version` says")
    parser.add_argument("--out", type=Path, required=True, help="the file of results")
    args = parser.parse_args()
    if not args.folder.is_dir():
        sys.exit(f"collect: expected a folder, got {args.folder}")
    try:
        tables, missing = collect(args.folder)
    except Unreadable as error:
        sys.exit(f"collect: {error}")
    if not any(tables.values()):
        sys.exit(f"collect: expected reports below {args.folder}, got none of {', '.join(missing)}")
    head = {"what": "HLS kernels, built with Vitis", "card": args.card, "tools": args.tools}
    rows = {
        name: [row | {"W": args.width, "P": args.butterflies} for row in table]
        for name, table in tables.items()
    }
    args.out.write_text(json.dumps(head | rows, indent=1) + "\n", "utf-8")
    for name in missing:
        print(f"collect: {name} is not there", file=sys.stderr)


if __name__ == "__main__":
    main()
