"""Checks the paper tags in comments of the Rust sources.

Every tag is listed in docs/REFERENCES.md. In documentation comments it is written `\\[Harvey14\\]`,
because rustdoc takes bare brackets for a link; `--fix` adds the backslashes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A name, an optional "+", a year: Harvey14, BCC+24; and the tags without a year.
TAG = r"(?:[A-Z][A-Za-z]*\+?\d{2}|Shoup|BLAKE3|RFC\d+)"
ANY = re.compile(rf"(?<![`\w])\\?\[({TAG})\\?\](?![(\[:])")
BARE = re.compile(rf"(?<![`\w\\])\[({TAG})\](?![(\[:])")
DOC = re.compile(r"^\s*//[/!]")


def problems_of(name: str, text: str, listed: set[str]) -> list[str]:
    """What is wrong with one file, as `name:line: what; what to do`."""
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        _, comment, rest = line.partition("//")
        for tag in ANY.findall(rest) if comment else []:
            if tag not in listed:
                problems.append(f"{name}:{number}: [{tag}] is not in docs/REFERENCES.md; add it")
        if DOC.match(line) and BARE.search(line):
            problems.append(f"{name}:{number}: bare tag; run scripts/check_references.py --fix")
    return problems


def fixed(text: str) -> str:
    """The text with its documentation tags escaped."""
    lines = text.splitlines(keepends=True)
    return "".join(BARE.sub(r"\\[\1\\]", line) if DOC.match(line) else line for line in lines)


def main() -> int:
    references = (ROOT / "docs/REFERENCES.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| \[([^\]]+)\] \|", references, re.M))
    problems = []
    for file in sorted(ROOT.glob("*/src/**/*.rs")):
        text = file.read_text(encoding="utf-8")
        if "--fix" in sys.argv[1:] and fixed(text) != text:
            text = fixed(text)
            file.write_text(text, encoding="utf-8")
        problems += problems_of(file.relative_to(ROOT).as_posix(), text, listed)
    print("\n".join(problems) if problems else "references resolve")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
