"""The demo's digit network with its weights encrypted too: the server sees neither side.

    python digits_encrypted_weights.py --data out/digits/digits.npz [--images 60] [--device cpu]

The owner encrypts the weights under the client's public key; the client encrypts images; the server
multiplies ciphertexts by ciphertexts. Prints accuracy and price beside plaintext weights, and exits
with 1 when an answer differs. `train_digits.py` writes the data.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from digits_owner import network

import ringloom as rl

ERROR = 1e-3


def served(
    server: rl.ModelServer, sent: rl.Ciphertext, runs: int = 3
) -> tuple[rl.Ciphertext, float]:
    """The answer, and the shortest time of some runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        answer = server.run(sent)
        times.append(time.perf_counter() - start)
    return answer, min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="digits.npz")
    parser.add_argument("--images", type=int, default=60, help="test images to run encrypted")
    parser.add_argument("--device", default="cpu", help="the server's device")
    parser.add_argument("--degree", type=int, default=15, help="degree of tanh's polynomial")
    args = parser.parse_args()
    with np.load(args.data) as file:
        data = dict(file)
    images = data["x_test"][: args.images]

    # Owner: compiles. The public part says which keys to make, one more for encrypted weights.
    program = network(data, args.degree).compile(data["x_calibration"], range_margin=1.3)
    public = program.public.with_encrypted_weights()
    # Client: keys and images.
    client = rl.Client.for_program(public)
    keys, key = client.keygen(public.key_request), client.public_key
    sent = client.encrypt_for(public, images)
    # Owner: encrypts the weights under the client's key.
    start = time.perf_counter()
    encrypted = rl.Encryptor(public.params, key).encrypt_weights(program)
    owner_s = time.perf_counter() - start
    # Server: runs both programs on the same images.
    answers = {}
    for name, held in (("plaintext", program), ("encrypted", encrypted)):
        server = rl.ModelServer(held, keys, device=args.device)
        answer, seconds = served(server, sent)
        answers[name] = client.decrypt_for(public, answer), seconds, len(held.to_bytes())

    clear, labels = program.clear(images), data.get("y_test")
    print(f"{len(images)} images; the owner encrypts {encrypted!r} in {owner_s:.2f} s")
    print(f"{'weights':<10} {'time':>8} {'size':>10} {'error':>8}  accuracy")
    for name, (logits, seconds, size) in answers.items():
        error = np.abs(logits - clear).max()
        right = (
            "" if labels is None else f"{(logits.argmax(1) == labels[: len(images)]).mean():.2%}"
        )
        print(f"{name:<10} {seconds:6.2f} s {size / 2**20:6.2f} MiB {error:8.1e}  {right}")
    price = answers["encrypted"][1] / answers["plaintext"][1]
    error = float(np.abs(answers["encrypted"][0] - clear).max())
    same = bool((answers["encrypted"][0].argmax(1) == clear.argmax(1)).all())
    print(
        f"price of hiding the weights: {price:.2f} times; same answers: {'yes' if same else 'NO'}"
    )
    if not same or error > ERROR:
        sys.exit("digits_encrypted_weights: a bound is missed, expected the clear model's answers")


if __name__ == "__main__":
    main()
