"""Prints the first code block of a language in README.md, so that what is shown is what is run.

python3 scripts/readme_block.py rust
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def block(text: str, language: str) -> str:
    match = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if match is None:
        sys.exit(f"readme_block: expected a ```{language} block in README.md, got none; add one")
    return match.group(1)


def main() -> None:
    language = sys.argv[1]
    code = block(README.read_text(encoding="utf-8"), language)
    if language == "rust" and "fn main" not in code:
        body = "".join(f"    {line}\n" if line else "\n" for line in code.splitlines())
        result = "Result<(), Box<dyn std::error::Error>>"
        code = f"fn main() -> {result} {{\n{body}    Ok(())\n}}\n"
    print(code, end="")


if __name__ == "__main__":
    main()
