"""Checks that every paper tag in a comment of the Rust sources is listed in docs/REFERENCES.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

# A name, an optional "+", a year: [Harvey14], [BCC+24]; and the tags without a year.
TAG = re.compile(r"(?<!`)\[((?:[A-Z][A-Za-z]*\+?\d{2})|Shoup|RFC\d+)\](?!\(|\[|:)")


def main() -> int:
    root = Path(__file__).parents[1]
    listed = set(
        re.findall(r"^\| \[([^\]]+)\] \|", (root / "docs/REFERENCES.md").read_text(), re.M)
    )
    assert "Harvey14" in listed
    problems = []
    for file in sorted(root.glob("*/src/**/*.rs")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            _, comment, text = line.partition("//")
            for tag in TAG.findall(text) if comment else []:
                if tag not in listed:
                    where = f"{file.relative_to(root)}:{number}"
                    problems.append(f"{where}: [{tag}] is not in docs/REFERENCES.md; add it there")
    print("\n".join(problems) if problems else "references resolve")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
