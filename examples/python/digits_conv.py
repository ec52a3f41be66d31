"""A small convolutional network on handwritten digits, clear and on ciphertexts.

    python digits_conv.py [--images 120] [--device cpu] [--epochs 40]

Trains 3x3 convolution, normalisation, squares, average pooling and a dense layer with numpy on the
digits bundled with scikit-learn, compiles it, and classifies test images encrypted. Exits with 1
when the encrypted network is not as good as the clear one.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import ringloom as rl

CHANNELS, SIDE, POOL = 8, 8, 2
TEST_IMAGES = 360
ACCURACY = 0.95
EPSILON = 1e-5


def patches(x: np.ndarray) -> np.ndarray:
    """The 3x3 neighbourhoods of every pixel: (images, pixels, 9)."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return windows.reshape(len(x), SIDE * SIDE, 9)


def pool(x: np.ndarray) -> np.ndarray:
    """Means of windows of (images, pixels, channels), as vectors channel by channel."""
    half = SIDE // POOL
    windows = x.reshape(len(x), half, POOL, half, POOL, CHANNELS).mean((2, 4))
    return windows.transpose(0, 3, 1, 2).reshape(len(x), -1)


def unpool(g: np.ndarray) -> np.ndarray:
    """The gradient of `pool`."""
    half = SIDE // POOL
    windows = g.reshape(len(g), CHANNELS, half, half).transpose(0, 2, 3, 1)
    spread = windows[:, :, None, :, None, :] / POOL**2
    shape = (len(g), half, POOL, half, POOL, CHANNELS)
    return np.broadcast_to(spread, shape).reshape(len(g), -1, CHANNELS)


def train(x: np.ndarray, y: np.ndarray, epochs: int) -> dict[str, np.ndarray]:
    """Gradient descent with momentum; statistics of the normalisation are those of all images."""
    rng = np.random.default_rng(1)
    features = CHANNELS * (SIDE // POOL) ** 2
    p = {
        "kernel": rng.normal(size=(9, CHANNELS)) / 3,
        "gain": np.ones(CHANNELS),
        "offset": np.zeros(CHANNELS),
        "dense": rng.normal(size=(features, 10)) / np.sqrt(features),
        "bias": np.zeros(10),
    }
    speed = {name: np.zeros_like(value) for name, value in p.items()}
    windows, targets = patches(x), np.eye(10)[y]
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for batch in np.array_split(order, len(x) // 48):
            u, t = windows[batch], targets[batch]
            z = u @ p["kernel"]
            mean, deviation = z.mean((0, 1)), np.sqrt(z.var((0, 1)) + EPSILON)
            unit = (z - mean) / deviation
            w = unit * p["gain"] + p["offset"]
            v = pool(w**2)
            logits = v @ p["dense"] + p["bias"]
            share = np.exp(logits - logits.max(1, keepdims=True))
            d = (share / share.sum(1, keepdims=True) - t) / len(batch)
            s = unpool(d @ p["dense"].T) * 2 * w
            n = s * p["gain"]
            n = (n - n.mean((0, 1)) - unit * (n * unit).mean((0, 1))) / deviation
            gradient = {
                "kernel": np.einsum("bpk,bpc->kc", u, n),
                "gain": (s * unit).sum((0, 1)),
                "offset": s.sum((0, 1)),
                "dense": v.T @ d + 1e-3 * p["dense"],
                "bias": d.sum(0),
            }
            for name, value in gradient.items():
                speed[name] = 0.9 * speed[name] - 0.05 * value
                p[name] += speed[name]
    z = windows @ p["kernel"]
    return p | {"mean": z.mean((0, 1)), "variance": z.var((0, 1))}


def network(p: dict[str, np.ndarray]) -> rl.Sequential:
    """The trained network. Compilation folds normalisation and pooling into their neighbours."""
    return rl.Sequential(
        [
            rl.Conv2d(p["kernel"].T.reshape(CHANNELS, 1, 3, 3), padding=1),
            rl.BatchNorm(p["mean"], p["variance"], p["gain"], p["offset"], epsilon=EPSILON),
            rl.Activation("square", degree=2),
            rl.AvgPool2d(POOL),
            rl.Flatten(),
            rl.Linear(p["dense"].T, p["bias"]),
        ],
        image=(1, SIDE, SIDE),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=120, help="test images to run encrypted")
    parser.add_argument("--device", default="cpu", help="the server's device")
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training images")
    args = parser.parse_args()

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, SIDE, SIDE) / 16
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=TEST_IMAGES, stratify=y, random_state=2
    )
    net = network(train(x_train, y_train, args.epochs))
    program = net.compile(x_train[:200, None], range_margin=1.3)
    public = program.public
    print("steps:", ", ".join(step.name for step in public.steps))
    print("predicted:", program.prediction)
    print("keys:", program.key_request.count(program.params))

    client = rl.Client.for_program(public)
    server = rl.ModelServer(program, client.keygen(public.key_request), device=args.device)
    images, labels = x_test[: args.images, None], y_test[: args.images]
    sent = client.encrypt_for(public, images)
    start = time.perf_counter()
    answer = server.run(sent)
    seconds = time.perf_counter() - start
    logits = client.decrypt_for(public, answer)

    exact = net(images)
    accuracy = float((net(x_test[:, None]).argmax(1) == y_test).mean())
    agreement = float((logits.argmax(1) == exact.argmax(1)).mean())
    error = float(np.abs(logits - program.clear(images)).max())
    batches = 1 + max(report.batch for report in answer.reports)
    print(f"{len(images)} images in {batches} ciphertexts: {seconds:.2f} s")
    print(f"accuracy clear, all {TEST_IMAGES}: {accuracy:.2%}")
    print(f"accuracy clear, these: {(exact.argmax(1) == labels).mean():.2%}")
    print(f"accuracy simulated: {(program.simulate(images).argmax(1) == labels).mean():.2%}")
    print(f"accuracy encrypted: {(logits.argmax(1) == labels).mean():.2%}")
    print(f"encrypted and clear agree: {agreement:.2%}; error {error:.1e}")
    if accuracy < ACCURACY or agreement < 0.99 or error > 1e-3:
        sys.exit("digits_conv: a bound is missed, expected the clear network's answers")


if __name__ == "__main__":
    main()
