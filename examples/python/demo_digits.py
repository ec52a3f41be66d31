"""Handwritten digits, classified on ciphertexts by a server that cannot read them.

    python demo_digits.py --out out [--data out/digits] [--device cpu] [--images 200]
        [--compare cpu]

Runs the owner, the client and the server as processes of their own, which exchange files through
folders; then compares what came out with the clear network. With `--compare` another device
answers the same ciphertexts, residue by residue the same. Says how many commands ran on the host
for want of a kernel: on FPGA devices none that has one. Exits with 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from digits_owner import network

import ringloom as rl

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).resolve().parent
ACCURACY = 0.95
AGREEMENT = 0.99
FROM_POLYNOMIAL = 1e-3
FROM_FLOAT = 5e-2
# What the kernels of an FPGA do: none of it may run on the host.
KERNELS = ("ntt", "mul", "mul_acc", "inner_product", "diag_mul_acc", "gadget_product")


@dataclass
class Folders:
    """Who has what: `client` the secret, `server` the program with its weights."""

    client: Path
    server: Path
    exchange: Path

    @classmethod
    def fresh(cls, root: Path) -> Folders:
        shutil.rmtree(root, ignore_errors=True)
        folders = cls(*(root / name for name in ("client", "server", "exchange")))
        for folder in (folders.client, folders.server, folders.exchange):
            folder.mkdir(parents=True)
        return folders


def process(script: str, *args: object, cwd: Path | None = None) -> None:
    """Runs one role to its end."""
    command = [sys.executable, str(HERE / script), *map(str, args)]
    done = subprocess.run(command, cwd=cwd, check=False)
    if done.returncode != 0:
        sys.exit(f"demo: {script} failed with {done.returncode}; its message is above")


def run_roles(data: Path, folders: Folders, args: argparse.Namespace) -> None:
    exchange = folders.exchange.resolve()
    process(
        "digits_owner.py",
        *("--data", data, "--degree", args.degree),
        *("--program", folders.server / "program.rlp", "--public", exchange / "public.rlp"),
    )
    client = ("--exchange", exchange, "--home", folders.client, "--singles", args.singles)
    process("digits_client.py", "keygen", *client)
    process("digits_client.py", "encrypt", *client)
    threads = () if args.threads is None else ("--threads", args.threads)
    process(
        "digits_server.py",
        *("--exchange", exchange, "--device", args.device, *threads),
        cwd=folders.server,
    )
    process("digits_client.py", "decrypt", *client)


def differing(folders: Folders, args: argparse.Namespace) -> list[str]:
    """Names of the answers in which a second device's residues differ from the first one's."""
    other = folders.server.with_name("compared").resolve()
    other.mkdir()
    shutil.copy(folders.server / "program.rlp", other)
    exchange = folders.exchange.resolve()
    process(
        "digits_server.py",
        *("--exchange", exchange, "--device", args.compare, "--answers", other),
        cwd=other,
    )
    # Ciphertexts have one encoding, so equal bytes are equal residues.
    answers = sorted(exchange.glob("*.out.rlc"))
    return [a.name for a in answers if a.read_bytes() != (other / a.name).read_bytes()]


def mib(size: float) -> str:
    return f"{size / 2**20:.2f} MiB"


def server_report(folders: Folders) -> dict[str, Any]:
    """What the server wrote about itself."""
    text = (folders.server / "report.json").read_text(encoding="utf-8")
    report: dict[str, Any] = json.loads(text)
    return report


def print_times(report: dict[str, Any], folders: Folders) -> None:
    runs = {run["name"]: run for run in report["runs"]}
    packed = runs["packed"]
    singles = [run for name, run in runs.items() if name.startswith("single")]
    lanes = rl.PublicProgram.load(folders.exchange / "public.rlp").lanes
    latency = float(np.median([run["seconds"] for run in singles]))
    count = 1 + packed["steps"][-1]["ciphertext"]
    full = packed["seconds"] / count / lanes
    where = f"device {report['device']}, {report['threads'] or 'all'} threads"
    print(f"\nTime per image ({where}; keys and weights loaded in {report['load_s']:.1f} s)")
    print(f"  one image per ciphertext    {latency:9.4f} s   (median of {len(singles)})")
    print(
        f"  packed, {packed['images']} images         {packed['seconds'] / packed['images']:9.4f} s"
        f"   ({count} ciphertexts of up to {lanes} images; {full:.4f} s when full)"
    )
    print("Sizes")
    print(f"  evaluation keys  {mib(report['key_bytes'])}")
    one, every = singles[0], packed["input_bytes"] / lanes / count
    print(f"  one image        {mib(one['input_bytes'])} in, {mib(one['output_bytes'])} out")
    print(f"  packed           {mib(every)} in per image when full")
    print("Layer by layer (one image per ciphertext)")
    print(f"  {'layer':<20} {'ms':>8}   {'level':<8} scale in bits")
    for number, step in enumerate(one["steps"]):
        ms = float(np.median([run["steps"][number]["ms"] for run in singles]))
        (level_in, level_out), (scale_in, scale_out) = step["levels"], step["scale_bits"]
        levels = f"{level_in} -> {level_out}"
        print(f"  {step['name']:<20} {ms:8.1f}   {levels:<8} {scale_in:.6f} -> {scale_out:.6f}")


def draw(
    path: Path, images: np.ndarray, labels: np.ndarray, logits: np.ndarray, exact: np.ndarray
) -> None:
    """Images with their encrypted predictions, and encrypted against clear logits."""
    figure = plt.figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subfigures(1, 2)
    shown = min(15, len(images))
    for axis, image, logit, label in zip(
        left.subplots(3, 5).flat, images[:shown], logits, labels, strict=False
    ):
        digit = int(logit.argmax())
        axis.imshow(image.reshape(8, 8), cmap="gray_r")
        axis.set_title(f"{digit}", color="tab:green" if digit == label else "tab:red")
    for axis in left.axes:
        axis.set_axis_off()
    left.suptitle("Predicted from ciphertexts")
    axis = right.subplots()
    ends = [min(exact.min(), logits.min()), max(exact.max(), logits.max())]
    axis.plot(ends, ends, color="0.7", zorder=0)
    axis.scatter(exact, logits, s=4)
    axis.set(xlabel="logit, clear float network", ylabel="logit, decrypted")
    axis.set_title(f"{logits.size} logits, largest distance {np.abs(logits - exact).max():.1e}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for everything written")
    parser.add_argument("--data", type=Path, help="folder with digits.npz; by default made anew")
    parser.add_argument("--device", default="cpu", help="the server's device")
    parser.add_argument("--threads", type=int, help="the server's CPU threads")
    parser.add_argument("--compare", help="device that answers again, for the same residues")
    parser.add_argument("--images", type=int, default=200, help="test images to run encrypted")
    parser.add_argument("--singles", type=int, default=3, help="of these also one by one")
    parser.add_argument("--degree", type=int, default=15, help="degree of tanh's polynomial")
    args = parser.parse_args()
    if args.images < 1 or args.singles < 1:
        parser.error("expected at least one image and one single, got fewer; raise them")

    folder = args.data or args.out / "digits"
    if args.data is None:
        process("train_digits.py", "--out", folder)
    with np.load(folder / "digits.npz") as file:
        data = dict(file)
    images, labels = data["x_test"][: args.images], data["y_test"][: args.images]
    folders = Folders.fresh(args.out / "demo")
    np.save(folders.client / "images.npy", images)
    run_roles(folder / "digits.npz", folders, args)
    different = differing(folders, args) if args.compare is not None else []

    with np.load(folders.client / "logits.npz") as file:
        logits, alone = file["packed"], file["singles"]
    float_network = network(data, args.degree)
    exact = float_network(images)
    polynomial = rl.Program.load(folders.server / "program.rlp").clear(images)
    every = float_network(data["x_test"]).argmax(1)

    def distance(reference: np.ndarray) -> float:
        one_by_one = np.abs(alone - reference[: len(alone)]).max()
        return float(max(np.abs(logits - reference).max(), one_by_one))

    predicted = logits.argmax(1)
    accuracy = float((every == data["y_test"]).mean())
    agreement = float((predicted == exact.argmax(1)).mean())
    report = server_report(folders)
    print_times(report, folders)
    print(f"\nResults on {len(images)} images nobody trained or calibrated with")
    print(f"  accuracy encrypted  {(predicted == labels).mean():.2%}")
    print(f"  accuracy clear      {(exact.argmax(1) == labels).mean():.2%}")
    bounds = [
        (f"accuracy clear, all {len(every)}", accuracy, ACCURACY, accuracy >= ACCURACY),
        ("encrypted and clear agree", agreement, AGREEMENT, agreement >= AGREEMENT),
    ]
    for what, reference, limit in (
        ("logits from polynomial model", polynomial, FROM_POLYNOMIAL),
        ("logits from float model", exact, FROM_FLOAT),
    ):
        bounds.append((what, distance(reference), limit, distance(reference) <= limit))
    for what, value, limit, holds in bounds:
        sign = ">=" if limit in (ACCURACY, AGREEMENT) else "<="
        print(f"  {what:<30} {value:9.3g}  {sign} {limit:g}: {'yes' if holds else 'NO'}")
    if args.compare is not None:
        what = f"residues equal those of {args.compare}"
        unlike = f"not in {', '.join(different)}: NO"
        print(f"  {what:<30} {unlike if different else 'in every answer: yes'}")
    elsewhere = report["host_commands"]
    named = ", ".join(f"{name} {count}" for name, count in elsewhere.items())
    print(f"  commands that ran on the host instead of the device: {named or 'none'}")
    of_kernels = {name: elsewhere.get(name, 0) for name in KERNELS}
    missed = args.device.startswith("fpga") and any(of_kernels.values())
    if args.device.startswith("fpga"):
        named = ", ".join(f"{name} {count}" for name, count in of_kernels.items())
        print(f"  of those that have a kernel: {named}: {'NO' if missed else 'yes'}")
    picture = args.out / "digits.png"
    draw(picture, images, labels, logits, exact)
    print(f"Picture: {picture}")
    if different or missed or not all(holds for *_, holds in bounds):
        sys.exit("demo: a bound is missed, expected yes everywhere, got NO; see the lines above")


if __name__ == "__main__":
    main()
