"""Trains a digit network of small integers: 64-32-10, for exact look-ups of 4 bits.

    python train_digits_quantised.py --out out/digits_quantised.json

A pixel is 0 or 1. A hidden neuron keeps the signs of its 12 largest weights, of a scikit-learn
network with tanh: its sums have at most 13 values, and a bias brings them into -8..7. They are
clipped to -1..2. The last layer is a logistic regression on what comes out, rounded to integers
whose sums have at most 128 values. Seeds are compared on images that nothing was trained on; the
360 test images are used for no choice. Same seed, same file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

TEST_IMAGES = 360
CALIBRATION_IMAGES = 200
HELD_OUT = 128
THRESHOLD = 5  # of 16: a pixel from here on is 1
HIDDEN = 32
KEPT = 12  # weights of a hidden neuron
SUMS = (-8, 7)  # what a look-up of 4 bits takes
CLIP = (-1, 2)
SCORES = 128  # values of the last layer's sums
NORM = 9.0  # of its rows: noise grows with it
LARGEST = 2  # of its weights


def hidden_layer(float_weights: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signs of the largest weights, and biases that put the usual sum near zero."""
    w = np.zeros(float_weights.shape, dtype=int)
    for row, weights in zip(w, float_weights, strict=True):
        kept = np.argsort(-np.abs(weights))[:KEPT]
        row[kept] = np.sign(weights[kept]).astype(int)
    usual = -np.rint((x @ w.T).mean(0)).astype(int)
    least, most = np.minimum(w, 0).sum(1), np.maximum(w, 0).sum(1)
    return w, np.clip(usual, SUMS[0] - least, SUMS[1] - most)


def last_layer(h: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integer weights of the best scale among those whose sums fit."""
    regression = LogisticRegression(C=0.05, max_iter=2000).fit(h, y)
    best, low, high = -1.0, *CLIP
    for scale in np.linspace(0.3, 6, 150):
        v = np.clip(np.rint(regression.coef_ * scale), -LARGEST, LARGEST).astype(int)
        b = np.rint(regression.intercept_ * scale).astype(int)
        least = (np.minimum(v * low, v * high).sum(1) + b).min()
        most = (np.maximum(v * low, v * high).sum(1) + b).max()
        fits = most - least < SCORES and np.sqrt((v**2).sum(1)).max() <= NORM
        right = float(np.mean((h @ v.T + b).argmax(1) == y))
        if fits and right > best:
            best, layer = right, (v, b)
    return layer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--seed", type=int, default=2, help="seed of the splits")
    args = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    x, y = (images >= THRESHOLD).astype(int), labels
    x_rest, x_test, y_rest, y_test = train_test_split(
        x, y, test_size=TEST_IMAGES, stratify=y, random_state=args.seed
    )
    x_train, x_calibration, y_train, y_calibration = train_test_split(
        x_rest, y_rest, test_size=CALIBRATION_IMAGES, stratify=y_rest, random_state=args.seed
    )

    best = -1.0
    for seed in range(6):
        with threadpool_limits(1):  # sums in one order, whatever the number of cores
            network = MLPClassifier(
                (HIDDEN,),
                activation="tanh",
                solver="lbfgs",
                alpha=0.1,
                max_iter=500,
                random_state=seed,
            )
            network.fit(x_train, y_train)
            w1, b1 = hidden_layer(network.coefs_[0].T, x_train)
            w2, b2 = last_layer(np.clip(x_train @ w1.T + b1, *CLIP), y_train)

        def forward(batch: np.ndarray, layers: tuple = (w1, b1, w2, b2)) -> np.ndarray:
            w1, b1, w2, b2 = layers
            return np.clip(batch @ w1.T + b1, *CLIP) @ w2.T + b2

        right = float(np.mean(forward(x_calibration).argmax(1) == y_calibration))
        print(f"seed {seed}: {right:.2%} of the calibration images")
        if right > best:
            best, chosen = right, (w1, b1, w2, b2)
            clear = network.score(x_test, y_test)
    w1, b1, w2, b2 = chosen
    accuracy = float(np.mean(forward(x_test, chosen).argmax(1) == y_test))

    data = {
        "provenance": "examples/python/train_digits_quantised.py with its default seed; images: "
        "the digits bundled with scikit-learn (UCI Optical Recognition of Handwritten Digits, "
        "CC BY 4.0)",
        "clip": list(CLIP),
        "w1": w1.tolist(),
        "b1": b1.tolist(),
        "w2": w2.tolist(),
        "b2": b2.tolist(),
        "held_out": x_test[:HELD_OUT].tolist(),
        "held_out_labels": y_test[:HELD_OUT].tolist(),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in data.items())
    args.out.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"accuracy on {TEST_IMAGES} held-out images: {accuracy:.2%} quantised, {clear:.2%} float")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
