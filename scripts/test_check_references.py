"""The reference checker must find unlisted and bare tags, and fix the latter."""

from __future__ import annotations

import unittest

from check_references import fixed, problems_of


class Checker(unittest.TestCase):
    def test_finds_unlisted_and_bare_tags(self) -> None:
        text = "/// As \\[Nobody99\\].\n/// As [Harvey14] and [`Complex64`].\n// [Harvey14]\n"
        found = problems_of("f.rs", text, {"Harvey14"})
        assert len(found) == 2, found
        assert "f.rs:1: [Nobody99]" in found[0]
        assert "f.rs:2: bare" in found[1]
        assert len(problems_of("f.rs", fixed(text), {"Harvey14"})) == 1

    def test_leaves_code_and_links_alone(self) -> None:
        text = "let a: [Complex64; 2] = x; // [Harvey14]\n//! [Harvey14](https://example.org)\n"
        assert fixed(text) == text
        assert problems_of("f.rs", text, {"Harvey14"}) == []


if __name__ == "__main__":
    unittest.main()
