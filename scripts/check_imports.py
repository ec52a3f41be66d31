"""Checks who imports whom in the Rust sources (docs/ARCHITECTURE.md).

Reads every path that starts with `crate`, `super`, `self`, or the name of a workspace crate. What
is under `#[cfg(test)]`, in a `tests` file or in a comment is free to name anything.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

# Module -> the modules it may use. A module that is missing here is an error: place it first.
# `error` may be used by everybody; a crate root (lib.rs) declares and re-exports freely.
NTT = {
    "arith": set(),
    "host_fft": {"arith"},
    "poly": {"arith"},
    "device": {"arith", "poly"},
    "reference": {"arith", "poly", "device"},
    "cpu": {"arith", "poly", "device"},
    "opencl": {"arith", "poly", "device"},
    "ring": {"arith", "poly", "device"},
    # A device made of rings on two others.
    "replay": {"arith", "poly", "device", "ring"},
    # Above the back ends: opens a device by name.
    "devices": {"arith", "poly", "device", "ring", "reference", "cpu", "opencl"},
    "testing": {"arith", "poly", "device", "ring", "reference", "cpu", "opencl", "devices"},
}
CORE = {"params": set()}
CORE["progress"] = set()
CORE["serial"] = {"params"}
CORE["session"] = {"params"}
CORE["rlwe"] = {"params", "progress", "serial", "session"}
CORE["ckks"] = CORE["rlwe"] | {"rlwe"}
CORE["tfhe"] = CORE["rlwe"] | {"rlwe"}
CORE["bridge"] = CORE["rlwe"] | {"rlwe", "ckks", "tfhe"}
CORE["circuits"] = CORE["bridge"] | {"bridge"}
CORE["matrix"] = CORE["circuits"] | {"circuits"}
CORE["model"] = CORE["matrix"] | {"matrix"}

# Folder -> (its module table, the workspace crates it may name).
CRATES: dict[str, tuple[dict[str, set[str]] | None, set[str]]] = {
    "ntt-kernels": (NTT, set()),
    "fpga": (None, {"ringloom_ntt"}),
    "core": (CORE, {"ringloom_ntt"}),
    "bindings-py": (None, {"ringloom_ntt", "ringloom_fpga", "ringloom"}),
}
WORKSPACE = {"ringloom_ntt", "ringloom_fpga", "ringloom", "ringloom_bench"}
# Modules of ringloom_ntt that library code above it never names.
HIDDEN = {
    "core": {"cpu", "opencl", "fpga", "reference", "testing"},
    "fpga": {"cpu", "opencl", "testing"},
    "bindings-py": {"opencl", "testing"},
}
# The only places with `unsafe`.
UNSAFE = ("ntt-kernels/src/cpu/isa", "ntt-kernels/src/opencl/sys", "fpga/src/transport/")

TOKEN = re.compile(
    r"""
      (?P<skip>//[^\n]*|\s+)
    | (?P<raw>\b[bc]?r(?P<hashes>\#*)"(?:.|\n)*?"(?P=hashes))
    | (?P<str>\b[bc]?"(?:\\(?:.|\n)|[^"\\])*"|"(?:\\(?:.|\n)|[^"\\])*")
    | (?P<char>b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])')
    | (?P<word>(?:r\#)?[A-Za-z_]\w*)
    | (?P<sep>::)
    | (?P<other>(?:.|\n))
    """,
    re.VERBOSE,
)
CFG_TEST = ["#", "[", "cfg", "(", "test", ")", "]"]


def strip_block_comments(text: str) -> str:
    """Blanks `/* */`, which nest, keeping the line numbers."""
    out, depth, i = [], 0, 0
    while i < len(text):
        if text.startswith("/*", i):
            depth, i = depth + 1, i + 2
        elif depth and text.startswith("*/", i):
            depth, i = depth - 1, i + 2
        else:
            out.append(text[i] if not depth or text[i] == "\n" else " ")
            i += 1
    return "".join(out)


def tokens(text: str) -> list[tuple[str, int]]:
    """Words, `::` and single characters with their lines; no comments, no literals."""
    found, line = [], 1
    if "/*" in text:
        text = strip_block_comments(text)
    for match in TOKEN.finditer(text):
        if match.lastgroup in ("word", "sep", "other"):
            found.append((match.group(), line))
        line += match.group().count("\n")
    return found


def without_tests(found: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Drops every item that follows `#[cfg(test)]`."""
    kept, i = [], 0
    while i < len(found):
        if [t for t, _ in found[i : i + len(CFG_TEST)]] != CFG_TEST:
            kept.append(found[i])
            i += 1
            continue
        depth, i = 0, i + len(CFG_TEST)
        while i < len(found):
            token = found[i][0]
            depth += (token in "{([") - (token in "})]")
            i += 1
            if depth == 0 and token in ";}":
                break
    return kept


def tree(found: list[tuple[str, int]], i: int) -> tuple[list[list[str]], int]:
    """Paths of the use tree at `i`: `a::{b, c::d}` gives `[a, b]` and `[a, c, d]`."""
    head = []
    while i < len(found):
        token = found[i][0]
        if token == "{":
            paths, i = [], i + 1
            while i < len(found) and found[i][0] != "}":
                if found[i][0] == ",":
                    i += 1
                    continue
                inner, following = tree(found, i)
                paths += inner
                i = following if following > i else i + 1
            return [head + p for p in paths], i + 1
        if token == "*":
            return [[*head, "*"]], i + 1
        if not (token[0].isalpha() or token[0] == "_"):
            break
        head.append(token)
        i += 1
        if i < len(found) and found[i][0] == "::":
            i += 1
            continue
        if i + 1 < len(found) and found[i][0] == "as":
            i += 2
        break
    return [head], i


def paths(found: list[tuple[str, int]], module: list[str]) -> Iterator[tuple[list[str], int]]:
    """Absolute paths (`crate` or a workspace crate first) with their lines."""
    inline: list[tuple[str, int]] = []  # open `mod name {` blocks with the depth of their brace
    depth, i = 0, 0
    while i < len(found):
        token, line = found[i]
        follows_path = i > 0 and found[i - 1][0] == "::"
        heads = {"crate", "super", "self"} | WORKSPACE
        if token in heads and not follows_path and i + 1 < len(found) and found[i + 1][0] == "::":
            here = module + [name for name, _ in inline]
            branches, i = tree(found, i)
            for branch in branches:
                if branch[0] in ("super", "self"):
                    base = list(here)
                    while branch and branch[0] in ("super", "self"):
                        if branch[0] == "super" and base:
                            base.pop()
                        branch = branch[1:]
                    branch = ["crate", *base, *branch]
                yield branch, line
            continue
        if token == "mod" and i + 2 < len(found) and found[i + 2][0] == "{":
            depth += 1
            inline.append((found[i + 1][0], depth))
            i += 3
            continue
        if token == "{":
            depth += 1
        elif token == "}":
            if inline and inline[-1][1] == depth:
                inline.pop()
            depth -= 1
        i += 1


def module_of(file: Path, source: Path) -> list[str]:
    """`src/poly/cmd.rs` -> `[poly, cmd]`; `src/poly/mod.rs` -> `[poly]`; `src/lib.rs` -> `[]`."""
    parts = list(file.relative_to(source).with_suffix("").parts)
    return parts[:-1] if parts[-1] in ("lib", "main", "mod") else parts


def check_crate(root: Path, folder: str) -> list[str]:
    """Broken rules of one crate, as `file:line: what; what to do`."""
    table, crates = CRATES[folder]
    source, problems = root / folder / "src", []
    for file in sorted(source.rglob("*.rs")):
        module = module_of(file, source)
        name = file.relative_to(root).as_posix()
        everything = tokens(file.read_text(encoding="utf-8"))
        if not name.startswith(UNSAFE):
            problems += [
                f"{name}:{line}: `unsafe` outside {', '.join(UNSAFE)}; move it there"
                for token, line in everything
                if token == "unsafe"
            ]
        if "tests" in module:
            continue
        home = module[0] if module else None
        allowed = None
        if table is not None and home not in (None, "error"):
            allowed = table.get(home)
            if allowed is None:
                problems.append(
                    f"{name}:1: module `{home}` has no place in the chain; "
                    "add it to the table in scripts/check_imports.py"
                )
                continue
        for path, line in paths(without_tests(everything), module):
            target = path[1] if len(path) > 1 else "*"
            if path[0] == "crate":
                if table is None or allowed is None or target not in table:
                    continue
                if target != home and target not in allowed:
                    problems.append(
                        f"{name}:{line}: `{home}` uses `{target}`, allowed are "
                        f"{', '.join(sorted(allowed)) or 'none'}; turn the call round"
                    )
            elif path[0] not in crates:
                problems.append(
                    f"{name}:{line}: `{folder}` names `{path[0]}`, allowed are "
                    f"{', '.join(sorted(crates)) or 'none'}; move the code up"
                )
            elif path[0] == "ringloom_ntt" and target in HIDDEN.get(folder, set()):
                problems.append(
                    f"{name}:{line}: `{folder}` names `ringloom_ntt::{target}`; "
                    "use the device through `Device` and `Ring`"
                )
    return problems


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1])
    problems = [
        p for folder in CRATES if (root / folder).is_dir() for p in check_crate(root, folder)
    ]
    print("\n".join(problems) if problems else "import rules hold")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
