"""The protocol of benches/src/worker.rs for Python peers: JSON objects, one per line.

A peer gives its version and a function that prepares an id. Runs on Python 3.10 and newer.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Case:
    """One operation, everything outside the loop done."""

    facts: dict[str, Any]
    call: Callable[[], Any]
    error: Callable[[Any], float]


Prepare = Callable[[str, int, bool], Case]


def values(count: int, seed: int) -> list[float]:
    """Reproducible values in [-1, 1)."""
    source = random.Random(seed)
    return [source.uniform(-1, 1) for _ in range(count)]


def distance(got: list[float], want: list[float]) -> float:
    """Largest distance over the values wanted."""
    if len(got) < len(want):
        return float("inf")
    return max(abs(a - b) for a, b in zip(got, want, strict=False))


def rotated(x: list[float], steps: int) -> list[float]:
    """`x` with entry `steps` first."""
    return x[steps:] + x[:steps]


def peak_bytes() -> int:
    """High-water mark of this process so far: it serves several ids."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Server:
    """Answers requests; one case at a time."""

    def __init__(self, version: str, prepare: Prepare) -> None:
        self.version, self.prepare = version, prepare
        self.case: Case | None = None
        self.calls, self.rewarm = 1, False
        self.output: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "hello":
                return {"version": self.version}
            case "prepare":
                self.case = self.output = None
                self.case = self.prepare(request["id"], request["threads"], request["smoke"])
                self.warm_up(request["smoke"])
                return {"facts": self.case.facts, "calls": self.calls}
            case "sample":
                ns, cpu_ns = self.sample()
                return {"ns": ns, "cpu_ns": cpu_ns}
            case "finish":
                error = float(self.case.error(self.output))
                right = error <= self.case.facts["tolerance"]
                return {"max_error": error, "verified": right, "peak_bytes": peak_bytes()}
            case other:
                raise ValueError(f"unknown request {other}")

    def warm_up(self, smoke: bool) -> None:
        self.calls, self.rewarm = 1, False
        if smoke:
            return
        shortest, count, begin = float("inf"), 0, time.perf_counter()
        while count < 2 or (time.perf_counter() - begin < 0.1 and count < 2000):
            start = time.perf_counter()
            self.output = self.case.call()
            shortest = min(shortest, time.perf_counter() - start)
            count += 1
        self.calls = max(1, min(2000, int(2e-3 / shortest) + 1))
        self.rewarm = shortest < 20e-3

    def sample(self) -> tuple[float, float]:
        """Wall and processor time per call, in nanoseconds."""
        call, calls = self.case.call, range(self.calls)
        if self.rewarm:
            self.output = call()
        start, cpu = time.perf_counter_ns(), time.process_time_ns()
        for _ in calls:
            self.output = call()
        ns, cpu_ns = time.perf_counter_ns() - start, time.process_time_ns() - cpu
        return ns / self.calls, cpu_ns / self.calls


def serve(version: Callable[[], str], prepare: Prepare) -> None:
    """Serves until the input ends. `version` imports the peer, so that a failure is an answer."""
    # Libraries print; answers go where only answers go.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = None
    for line in sys.stdin:
        try:
            if server is None:
                server = Server(version(), prepare)
            answer = server.answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
