"""Digits read exactly: a network of small integers on encrypted images, value for value.

    python digits_quantised.py                  2 images, keys of 128 bits of security
    python digits_quantised.py --images 100     as many of the 128 held-out images
    python digits_quantised.py --toy            parameters without any security: quick

The network is 64-32-10; train_digits_quantised.py made it from a scikit-learn model. A pixel is 0
or 1. A server computes it twice: with weights that it sees, and with weights that are encrypted
under the client's key.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import ringloom as rl

ROOT = Path(__file__).parents[2]


def layers(data: dict) -> list[rl.IntLinear]:
    low, high = data["clip"]
    return [
        rl.IntLinear(data["w1"], data["b1"], lambda v: min(max(v, low), high), name="hidden"),
        rl.IntLinear(data["w2"], data["b2"], name="scores"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT / "benches/data/digits_quantised.json",
        help="network and images, as train_digits_quantised.py writes them",
    )
    parser.add_argument("--images", type=int, default=2, help="how many")
    parser.add_argument("--toy", action="store_true", help="parameters without any security")
    parser.add_argument("--device", default="auto", help="the server's device")
    args = parser.parse_args()
    data = json.loads(args.data.read_text(encoding="utf-8"))
    images = np.array(data["held_out"][: args.images])
    labels = np.array(data["held_out_labels"][: args.images])

    # The model's owner. Whatever could overflow is refused here, before there is a key.
    params = rl.IntParams.insecure_toy(4) if args.toy else rl.IntParams(4)
    network = rl.IntNetwork(layers(data), params=params, inputs=(0, 1))
    print(network)
    want = network.clear(images)

    client = rl.IntClient(params)
    start = time.perf_counter()
    keys = client.keygen()
    print(f"keys: {keys.nbytes / 1e6:.1f} MB, {time.perf_counter() - start:.1f} s")
    hidden = client.encrypt_network(network)
    print(f"encrypted weights: {hidden.nbytes / 1e6:.1f} MB")

    # The server holds no secret.
    session = rl.IntSession(params, keys, device=args.device)
    for what in (network, hidden):
        model = rl.IntModel(session, what)
        inputs = client.encrypt_inputs(what, images)
        start = time.perf_counter()
        outputs = model.run(inputs)
        each = (time.perf_counter() - start) / len(images)
        scores = client.decrypt_int(outputs)
        same = np.array_equal(scores, want)
        right = int((scores.argmax(1) == labels).sum())
        print(
            f"{model}\n  {len(images)} images of {inputs.nbytes / 1e3 / len(images):.1f} kB, "
            f"{each:.2f} s each; equal to the clear network: {'yes' if same else 'NO'}; "
            f"right: {right} of {len(images)}"
        )
        if not same:
            raise SystemExit("an encrypted score differs from the clear one")


if __name__ == "__main__":
    main()
