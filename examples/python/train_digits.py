"""Trains the digit network of the demo: 64-32-10, tanh, on the digits bundled with scikit-learn.

    python train_digits.py --out out/digits

Writes `digits.npz`: weights (`w1`, `b1`, `w2`, `b2`; a layer is `w @ x + b`), and the splits
`x_train`, `y_train`, `x_calibration`, `y_calibration`, `x_test`, `y_test`. Pixels are scaled to
[0, 1]. The 360 test images are used neither for training nor for calibration. Same seed, same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

TEST_IMAGES = 360
CALIBRATION_IMAGES = 200
HIDDEN = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for digits.npz")
    parser.add_argument("--seed", type=int, default=2, help="seed of splits and training")
    args = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    x, y = images / 16.0, labels
    x_rest, x_test, y_rest, y_test = train_test_split(
        x, y, test_size=TEST_IMAGES, stratify=y, random_state=args.seed
    )
    x_train, x_calibration, y_train, y_calibration = train_test_split(
        x_rest, y_rest, test_size=CALIBRATION_IMAGES, stratify=y_rest, random_state=args.seed
    )

    # A strong L2 penalty keeps pre-activations small, so a short polynomial can stand for tanh.
    network = MLPClassifier(
        (HIDDEN,),
        activation="tanh",
        solver="lbfgs",
        alpha=3.0,
        max_iter=2000,
        random_state=args.seed,
    )
    with threadpool_limits(1):  # sums in one order, whatever the number of cores
        network.fit(x_train, y_train)
    w1, w2 = (w.T.copy() for w in network.coefs_)
    b1, b2 = network.intercepts_

    def forward(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        before = batch @ w1.T + b1
        return before, np.tanh(before) @ w2.T + b2

    before, _ = forward(x_calibration)
    test_before, logits = forward(x_test)
    accuracy = float(np.mean(np.argmax(logits, axis=1) == y_test))

    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "digits.npz"
    np.savez(
        path,
        w1=w1, b1=b1, w2=w2, b2=b2,
        x_train=x_train, y_train=y_train,
        x_calibration=x_calibration, y_calibration=y_calibration,
        x_test=x_test, y_test=y_test,
    )  # fmt: skip
    sizes = f"calibration {len(x_calibration)}; held out {len(x_test)}"
    print(f"trained on {len(x_train)} images; {sizes}")
    print(f"clear accuracy on held-out images: {accuracy:.2%}")
    print(
        f"largest |pre-activation|: calibration {np.abs(before).max():.3f}, "
        f"held out {np.abs(test_before).max():.3f}"
    )
    print(f"largest |logit| on held-out images: {np.abs(logits).max():.3f}")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
