"""Progress bars for long work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias

from tqdm import tqdm

#: ``None``: a bar when standard error is a terminal. ``True``, ``False``: always, never.
#: A callable: called as ``progress(done, total)``.
Progress: TypeAlias = bool | Callable[[int, int], object] | None


class _Bar:
    """A tqdm bar that opens at its first step, when the total is known."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._bar: tqdm[object] | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, desc=self._description)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def reporter(progress: Progress, description: str) -> Callable[[int, int], object] | None:
    """What to call with ``(done, total)``, or ``None``."""
    if callable(progress):
        return _Called(progress)
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    if not isinstance(progress, bool):
        raise TypeError(
            f"progress: not usable, expected None, a boolean or a callable, got {progress!r}; "
            "pass False for no bar"
        )
    return _Bar(description) if progress else None


class _Called:
    """A user's callable; whatever `close` it may have is left alone."""

    def __init__(self, function: Callable[[int, int], object]) -> None:
        self._function = function

    def __call__(self, done: int, total: int) -> None:
        self._function(done, total)
