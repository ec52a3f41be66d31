"""Writes the digit network of the benchmarks as JSON, from what train_digits.py wrote.

    python examples/python/train_digits.py --out out/digits
    python benches/data/digits_to_json.py out/digits/digits.npz benches/data/digits.json

Layers are `w @ x + b`; pixels are integers, sixteenths of full. All calibration images and the
first 128 held-out ones: as many as one ciphertext of 2^13 slots takes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HELD_OUT = 128


def main(source: str, target: str) -> None:
    data = np.load(source)

    def pixels(name: str, count: int | None = None) -> list[list[int]]:
        scaled = data[name][:count] * 16
        rounded = np.rint(scaled).astype(int)
        assert np.array_equal(rounded, scaled), name
        return rounded.tolist()

    network = {
        "provenance": "examples/python/train_digits.py with its default seed, through "
        "benches/data/digits_to_json.py; images: the digits bundled with scikit-learn "
        "(UCI Optical Recognition of Handwritten Digits, CC BY 4.0)",
        "w1": data["w1"].tolist(),
        "b1": data["b1"].tolist(),
        "w2": data["w2"].tolist(),
        "b2": data["b2"].tolist(),
        "calibration": pixels("x_calibration"),
        "held_out": pixels("x_test", HELD_OUT),
        "held_out_labels": data["y_test"][:HELD_OUT].tolist(),
    }
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in network.items())
    Path(target).write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
