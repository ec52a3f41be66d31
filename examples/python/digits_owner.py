"""The owner of the digit network: compiles it. Sees weights and calibration images, no keys.

    python digits_owner.py --data out/digits/digits.npz --program server/program.rlp \
        --public exchange/public.rlp
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import ringloom as rl


def network(data: dict[str, np.ndarray], degree: int) -> rl.Sequential:
    """The trained network, with its true activation."""
    return rl.Sequential(
        [
            rl.Linear(data["w1"], data["b1"]),
            rl.Activation("tanh", degree=degree),
            rl.Linear(data["w2"], data["b2"]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="digits.npz")
    parser.add_argument("--program", type=Path, required=True, help="written: for the server")
    parser.add_argument("--public", type=Path, required=True, help="written: for the client")
    parser.add_argument("--degree", type=int, default=15, help="degree of tanh's polynomial")
    args = parser.parse_args()

    with np.load(args.data) as file:
        data = dict(file)
    # Calibration images stand for all images: a margin keeps others inside the fitted range.
    program = network(data, args.degree).compile(data["x_calibration"], range_margin=1.3)
    program.save(args.program)
    program.public.save(args.public)
    print("compiled:", ", ".join(step.name for step in program.public.steps))
    print("  fit:", *program.fits, sep="\n    ")
    print("  predicted:", program.prediction)
    print("  security:", program.params.security_report())
    print("  keys to make:", program.key_request.count(program.params))


if __name__ == "__main__":
    main()
