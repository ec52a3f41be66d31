"""The client of the digit demo: holds the secret key, encrypts images, decrypts logits.

    python digits_client.py keygen  --exchange exchange --home client
    python digits_client.py encrypt --exchange exchange --home client
    python digits_client.py decrypt --exchange exchange --home client

The home folder has `images.npy` (one row per image), then `secret.rls` and `logits.npz`. Only
`exchange` is shared with the server.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import ringloom as rl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("keygen", "encrypt", "decrypt"))
    parser.add_argument("--exchange", type=Path, required=True, help="shared with the server")
    parser.add_argument("--home", type=Path, required=True, help="the client's own folder")
    parser.add_argument("--singles", type=int, default=3, help="images encrypted one by one, too")
    args = parser.parse_args()
    public = rl.PublicProgram.load(args.exchange / "public.rlp")
    secret = args.home / "secret.rls"
    start = time.perf_counter()

    if args.command == "keygen":
        client = rl.Client.for_program(public)
        client.save_secret(secret)
        keys = client.keygen(public.key_request)
        keys.save(args.exchange / "keys.rlk")
        took = time.perf_counter() - start
        print(f"client: {keys} in {took:.1f} s")
        return

    client = rl.Client.load_secret(secret, public.params)
    images = np.load(args.home / "images.npy")
    singles = range(min(args.singles, len(images)))
    if args.command == "encrypt":
        packed = client.encrypt_for(public, images)
        packed.save(args.exchange / "packed.rlc")
        for i in singles:
            single = client.encrypt_for(public, images[i])
            single.save(args.exchange / f"single-{i}.rlc")
        print(f"client: {len(images)} images packed: {packed}")
        print(f"client: {len(singles)} images one by one, each: {single}")
        return

    logits = client.decrypt_for(public, rl.Ciphertext.load(args.exchange / "packed.out.rlc"))
    outputs = [rl.Ciphertext.load(args.exchange / f"single-{i}.out.rlc") for i in singles]
    alone = np.array([client.decrypt_for(public, ct) for ct in outputs])
    np.savez(args.home / "logits.npz", packed=logits, singles=alone)
    print(f"client: decrypted {len(logits)} + {len(alone)} answers")


if __name__ == "__main__":
    main()
