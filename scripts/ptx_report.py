"""Compiles the programs of the OpenCL device for NVIDIA's GPUs and says what came out.

Clang stands for the front end of NVIDIA's driver, which is another one. check-ptx.sh calls it, with
a folder of texts and options that the device's tests have written. Fails where a kernel does not
compile, spills registers or has a stack frame.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Of one multiprocessor: shared memory in bytes. The rest is the same for all.
SHARED = {"sm_80": 164 << 10, "sm_90": 228 << 10}
REGISTERS, WARPS, GROUPS, RESERVED = 65536, 64, 32, 1024

# Columns of the table, with the instructions that they count.
KINDS = {
    "fp64": r"DFMA|DMUL|DADD|DSETP",
    "imad": r"IMAD(?!\.(MOV|SHL|IADD))",
    "ldg": r"LDG",
    "stg": r"STG",
    "lds": r"LDS",
    "sts": r"STS",
    "bar": r"BAR",
    "local": r"LDL|STL",
}
COLUMNS = ["items", "regs", "smem", "warps", "all", *KINDS]

# Kernels that may have a stack frame, of how many bytes at most, and why.
KNOWN = {
    # One word for each pattern of a group's key bits, at most 15, found by number.
    "rotation grouped_product": 128,
    # The assembler spills a little to have one more group on a multiprocessor.
    "forward-blocks-10-10-last-lift-inner-words pass": 64,
}


@dataclass
class Kernel:
    """What the assembler and the disassembler say of one kernel."""

    name: str
    items: int
    registers: int
    shared: int
    stack: int
    spilled: int
    counts: Counter[str]

    def warps(self, arch: str) -> int:
        """Warps that one multiprocessor holds at once."""
        warps = -(-self.items // 32)
        # Registers are given to warps by 256, and each of four schedulers has a quarter of them.
        per_warp = -(-32 * self.registers // 256) * 256
        fitting = REGISTERS // 4 // per_warp * 4 // warps
        memory = -(-(self.shared + RESERVED) // 128) * 128
        return min(fitting, SHARED[arch] // memory, GROUPS, WARPS // warps) * warps

    def row(self, arch: str) -> str:
        cells = (self.items, self.registers, self.shared, self.warps(arch), self.counts["all"])
        counts = (self.counts[kind] for kind in KINDS)
        return f"{self.name:54}" + "".join(f"{cell:6}" for cell in (*cells, *counts))

    def fault(self) -> str:
        if self.stack <= KNOWN.get(self.name, 0):
            return ""
        return f"FAILED {self.name}: {self.stack} B of stack, {self.spilled} B spilled"


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout + done.stderr


def group_sizes(ir: str) -> dict[str, int]:
    """Work items of a group of each kernel, as its source requires."""
    nodes = dict(re.findall(r"^!(\d+) = !\{i32 (\d+), i32 1, i32 1\}", ir, re.M))
    kernel = r"^define .*kernel .*@(\w+)\(.*!reqd_work_group_size !(\d+)"
    return {name: int(nodes[node]) for name, node in re.findall(kernel, ir, re.M)}


def assembly(text: Path, tools: argparse.Namespace) -> tuple[Path, dict[str, int]]:
    """A program as PTX, and the sizes of its kernels' groups."""
    ir, ptx = tools.out / f"{text.stem}.ll", tools.out / f"{text.stem}.ptx"
    target = ["--target=nvptx64-nvidia-nvcl", "-Xclang", "-target-cpu", "-Xclang", min(SHARED)]
    library = ["-Xclang", "-mlink-builtin-bitcode", "-Xclang", tools.libclc]
    options = (text.parent / "options").read_text().split()
    silent = ["-Wno-linker-warnings", "-Wno-override-module"]
    command = [tools.clang, *target, *silent, "-O3", "-S"]
    run(*command, "-x", "cl", *options, *library, "-emit-llvm", "-o", ir, text)
    run(*command, "-Xclang", "-disable-llvm-passes", "-o", ptx, ir)
    sizes = group_sizes(ir.read_text())
    # The assembler is to know the size that the source requires; Clang does not say it.
    code = ptx.read_text()
    for name, items in sizes.items():
        code = re.sub(rf"(\.entry {name}\([^{{]*\))", rf"\1\n.reqntid {items}, 1, 1", code)
    ptx.write_text(code)
    return ptx, sizes


def count(disassembly: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    instruction = r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?\s*([A-Z][\w.]*)"
    for opcode in re.findall(instruction, disassembly, re.M):
        if opcode != "NOP":
            counts["all"] += 1
            for kind, pattern in KINDS.items():
                counts[kind] += bool(re.match(pattern, opcode))
    return counts


def kernels(ptx: Path, sizes: dict[str, int], arch: str, tools: argparse.Namespace) -> list[Kernel]:
    """The kernels of one program."""
    cubin = ptx.with_suffix(f".{arch}.cubin")
    log = run(tools.ptxas, "-v", "-arch", arch, "-o", cubin, ptx)
    code = run(tools.nvdisasm, "-c", cubin)
    bodies = dict(re.findall(r"^\.text\.(\w+):\n(.*?)(?=^\.text|\Z)", code, re.M | re.S))
    found = []
    for part in log.split("Compiling entry function '")[1:]:
        name = part.split("'")[0]

        def number(pattern: str, part: str = part) -> int:
            return sum(map(int, re.findall(pattern, part)))

        kernel = Kernel(
            name=f"{ptx.stem} {name}",
            items=sizes[name],
            registers=number(r"Used (\d+) registers"),
            shared=number(r"(\d+) bytes smem"),
            stack=number(r"(\d+) bytes stack frame"),
            spilled=number(r"(\d+) bytes spill"),
            counts=count(bodies[name]),
        )
        found.append(kernel)
    if len(found) != len(sizes):
        raise RuntimeError(f"expected {len(sizes)} kernels, the assembler tells of {len(found)}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    for tool in ("clang", "libclc", "ptxas", "nvdisasm"):
        parser.add_argument(f"--{tool}", required=True)
    tools = parser.parse_args()
    tools.out.mkdir(parents=True, exist_ok=True)
    texts = sorted(tools.texts.glob("*.cl"))
    if not texts:
        sys.exit(f"expected programs in {tools.texts}, got none")

    def compiled(text: Path) -> dict[str, list[Kernel]] | str:
        try:
            ptx, sizes = assembly(text, tools)
            return {arch: kernels(ptx, sizes, arch, tools) for arch in SHARED}
        except RuntimeError as error:
            return f"FAILED {text.stem}: {error}"

    with ThreadPoolExecutor() as pool:
        programs = list(pool.map(compiled, texts))
    faults = [program for program in programs if isinstance(program, str)]
    for arch in SHARED:
        print(f"{f'{arch}: program, kernel':54}" + "".join(f"{column:>6}" for column in COLUMNS))
        for program in programs:
            for kernel in [] if isinstance(program, str) else program[arch]:
                print(kernel.row(arch))
                if kernel.fault():
                    faults.append(f"{kernel.fault()} ({arch})")
    print(
        "\n".join(faults)
        or "every kernel compiles, and none spills or has a stack frame but those known"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
