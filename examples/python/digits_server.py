"""The server of the digit demo: runs the network on ciphertexts it cannot read.

    cd server && python digits_server.py --exchange ../exchange --device cpu

Reads `program.rlp` from its own folder; keys and ciphertexts from the exchange folder. Writes an
answer next to every ciphertext (or into the folder `--answers`), and `report.json` into its own
folder.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from ringloom import Ciphertext, EvaluationKeys, ModelServer, Program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exchange", type=Path, required=True, help="shared with the client")
    parser.add_argument("--device", default="auto", help="see python -m ringloom devices")
    parser.add_argument("--threads", type=int, help="CPU threads, by default one per core")
    parser.add_argument("--answers", type=Path, help="folder for answers, by default --exchange")
    args = parser.parse_args()

    answers = args.answers or args.exchange
    program = Program.load("program.rlp")
    keys = EvaluationKeys.load(args.exchange / "keys.rlk")
    start = time.perf_counter()
    server = ModelServer(program, keys, device=args.device, threads=args.threads)
    report = {
        "device": server.device,
        "threads": args.threads,
        "load_s": time.perf_counter() - start,
        "key_bytes": keys.nbytes,
        "runs": [],
    }
    print(f"server: {server} ready in {report['load_s']:.1f} s")
    for path in sorted(args.exchange.glob("*.rlc")):
        if path.name.endswith(".out.rlc"):
            continue
        ciphertext = Ciphertext.load(path)
        start = time.perf_counter()
        answer = server.run(ciphertext)
        took = time.perf_counter() - start
        answer.save(answers / f"{path.stem}.out.rlc")
        print(f"server: {path.name}: {took:.2f} s")
        report["runs"].append(
            {
                "name": path.stem,
                "images": ciphertext.shape[0] if ciphertext.ndim == 2 else 1,
                "seconds": took,
                "input_bytes": ciphertext.nbytes,
                "output_bytes": answer.nbytes,
                "steps": [
                    {
                        "ciphertext": step.batch,
                        "name": step.name,
                        "ms": step.ms,
                        "levels": [step.level_in, step.level_out],
                        "scale_bits": [step.scale_bits_in, step.scale_bits_out],
                    }
                    for step in answer.reports
                ],
            }
        )
    report["host_commands"] = server.host_commands
    Path("report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
