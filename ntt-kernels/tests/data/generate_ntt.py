"""Writes the known answers of this folder from the definitions, with Python's integers only.

    python3 ntt-kernels/tests/data/generate_ntt.py [folder]

Nothing here follows the library's algorithms: transforms are evaluated point by point, products
are schoolbook, conversions go through big integers. The output is deterministic. Every file names
its formula; polynomial coefficients come from `lcg` below, started from the file's `seed`.
"""

from __future__ import annotations

import json
import sys
from math import prod
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
MASK64 = (1 << 64) - 1
STEP = 1 << 17
GENERATOR = "ntt-kernels/tests/data/generate_ntt.py"
LCG = "state = state * 6364136223846793005 + 1442695040888963407 mod 2^64; word = state mod q"
Case = dict[str, Any]


def is_prime(n: int) -> bool:
    """Miller-Rabin with the first thirteen primes as bases: exact for all words."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if n < 2 or any(n % b == 0 for b in bases):
        return n in bases
    odd, shift = n - 1, 0
    while odd % 2 == 0:
        odd, shift = odd // 2, shift + 1
    for b in bases:
        x = pow(b, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(shift - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime_below(bits: int, step: int, skip: int = 0) -> int:
    """The largest prime below 2^bits that is 1 modulo step, after skipping some."""
    candidate = ((1 << bits) - 2) // step * step + 1
    while True:
        if is_prime(candidate):
            if skip == 0:
                return candidate
            skip -= 1
        candidate -= step


def lcg(state: int, count: int, q: int) -> list[int]:
    words = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK64
        words.append(state % q)
    return words


def random_values(bound: int, seeds: range, words: int) -> list[int]:
    """Wide values below `bound`, each from `words` words of its own seed."""
    parts = [lcg(seed, words, 1 << 64) for seed in seeds]
    return [sum(w << (64 * i) for i, w in enumerate(row)) % bound for row in parts]


def psi_of(q: int, log_n: int) -> int:
    """c^((q - 1) / 2N), c the least quadratic non-residue (by counting squares or Euler)."""
    c = 2
    while pow(c, (q - 1) // 2, q) != q - 1:
        c += 1
    psi = pow(c, (q - 1) >> (log_n + 1), q)
    assert pow(psi, 1 << log_n, q) == q - 1
    return psi


def bit_reverse(i: int, bits: int) -> int:
    return int(format(i, f"0{bits}b")[::-1], 2) if bits else 0


def evaluate(x: list[int], point: int, q: int) -> int:
    acc = 0
    for coefficient in reversed(x):
        acc = (acc * point + coefficient) % q
    return acc


def transform(x: list[int], q: int, log_n: int) -> list[int]:
    psi = psi_of(q, log_n)
    points = (pow(psi, 2 * bit_reverse(i, log_n) + 1, q) for i in range(1 << log_n))
    return [evaluate(x, point, q) for point in points]


def negacyclic(a: list[int], b: list[int], q: int) -> list[int]:
    n, out = len(a), [0] * len(a)
    for i, u in enumerate(a):
        for j, v in enumerate(b):
            k = i + j
            out[k % n] += u * v if k < n else -u * v
    return [c % q for c in out]


def automorphism(x: list[int], galois: int, q: int) -> list[int]:
    """X -> X^galois in Z_q[X]/(X^N + 1)."""
    n, out = len(x), [0] * len(x)
    for i, c in enumerate(x):
        k = i * galois % (2 * n)
        out[k % n] = c if k < n else -c % q
    return out


def quarter_round(s: list[int], a: int, b: int, c: int, d: int) -> None:
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        mixed = s[z] ^ s[x]
        s[z] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF


def chacha20(key: bytes, nonce: int, length: int, first: int = 0) -> bytes:
    """Bernstein's original variant: 64-bit block counter, 64-bit nonce, 20 rounds."""
    words = [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    constants = [int.from_bytes(b"expand 32-byte k"[i : i + 4], "little") for i in range(0, 16, 4)]
    out = b""
    for block in range(first, first - (-length // 64)):
        low32 = 0xFFFFFFFF
        tail = [block & low32, block >> 32, nonce & low32, nonce >> 32]
        start = constants + words + tail
        s = list(start)
        for _ in range(10):
            quarter_round(s, 0, 4, 8, 12)
            quarter_round(s, 1, 5, 9, 13)
            quarter_round(s, 2, 6, 10, 14)
            quarter_round(s, 3, 7, 11, 15)
            quarter_round(s, 0, 5, 10, 15)
            quarter_round(s, 1, 6, 11, 12)
            quarter_round(s, 2, 7, 8, 13)
            quarter_round(s, 3, 4, 9, 14)
        out += b"".join(
            ((u + v) & low32).to_bytes(4, "little") for u, v in zip(s, start, strict=True)
        )
    return out[:length]


def check_chacha20() -> None:
    """RFC 8439, appendix A.1, vectors 1 and 2: zero key and nonce, blocks 0 and 1."""
    stream = chacha20(bytes(32), 0, 128)
    assert stream[:64].hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )
    assert stream[64:].hex() == (
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )


def centred(value: int, q: int) -> int:
    """The representative in (-q/2, q/2]."""
    value %= q
    return value - q if value > q // 2 else value


def approximate_lift(value: int, basis: list[int]) -> int:
    """sum_i y_i (Q/q_i) with y_i = x_i (Q/q_i)^-1 centred modulo q_i."""
    product = prod(basis)
    hats = [(q, product // q) for q in basis]
    return sum(centred(value % q * pow(hat, -1, q), q) * hat for q, hat in hats)


def ntt_cases(primes: dict[str, int]) -> list[Case]:
    sizes = {
        "q17": [1, 2, 3, 6],
        "q40": [1, 4, 6],
        "q50": [1, 2, 4, 6, 10],
        "q60": [4, 6],
        "q61": [4, 6],
    }
    cases = []
    for name, log_sizes in sizes.items():
        q = primes[name]
        for log_n in log_sizes:
            n = 1 << log_n
            # The smaller rings also get the largest residues everywhere.
            for kind in ("random", "maximal") if log_n <= 6 else ("random",):
                seed = q ^ log_n
                words = lcg(seed, 2 * n, q)
                a, b = (words[:n], words[n:]) if kind == "random" else ([q - 1] * n, [q - 1] * n)
                case = {"name": f"{name}/n{log_n}/{kind}", "q": q, "log_n": log_n, "seed": seed}
                case |= {
                    "psi": psi_of(q, log_n),
                    "kind": kind,
                    "a": a,
                    "a_eval": transform(a, q, log_n),
                }
                if log_n <= 6:
                    product = negacyclic(a, b, q)
                    evals = [transform(p, q, log_n) for p in (b, product)]
                    # The two definitions must agree before anything is written.
                    pairs = zip(case["a_eval"], *evals, strict=True)
                    assert all(u * v % q == w for u, v, w in pairs)
                    galois = [g for g in (3, 5, 2 * n - 1) if g < 2 * n]
                    case |= {"b": b, "product": product}
                    case["automorphisms"] = [
                        {"galois": g, "out": automorphism(a, g, q)} for g in galois
                    ]
                cases.append(case)
    return cases


def seed_cases(primes: dict[str, int]) -> list[Case]:
    counting = bytes(range(32))
    cases = []
    for seed, key, digit, limb, name, count in (
        (bytes(32), 0, 0, 0, "q50", 8),
        (counting, 0, 0, 1, "q50", 16),
        (counting, 1, 2, 3, "q61", 16),
        (counting, 0xFFFFFFFF, 0xFFFF, 0xFFFF, "q17", 16),
        (counting[::-1], 7, 1, 0, "q40", 16),
        (counting[::-1], 7, 1, 2, "ninth", 16),
    ):
        q, nonce = primes[name], key << 32 | digit << 16 | limb
        case = {"seed_hex": seed.hex(), "key_index": key, "digit": digit, "limb": limb, "q": q}
        stream = chacha20(seed, nonce, 16 * count)
        double = [int.from_bytes(stream[16 * i : 16 * i + 16], "little") % q for i in range(count)]
        cases.append(case | {"stream": "double words", "words": double})
        words = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(count)]
        second = chacha20(seed, nonce, 16 * count, first=1 << 32)
        for i, word in enumerate(words):
            if word >= (1 << 64) - (1 << 64) % q:
                word = int.from_bytes(second[16 * i : 16 * i + 16], "little")
                case["replaced"] = case.get("replaced", 0) + 1
            words[i] = word % q
        cases.append(case | {"stream": "words", "words": words})
    # Both ways to a word are there.
    assert any(case.get("replaced") for case in cases)
    return cases


def conversion_cases() -> list[Case]:
    q50 = [prime_below(50, STEP, i) for i in range(4)]
    q40 = [prime_below(40, STEP, i) for i in range(2)]
    q60 = [prime_below(60, STEP, i) for i in range(3)]
    cases = []
    for name, source, target in (
        ("one_to_three", q50[:1], [*q40, q60[0]]),
        ("three_to_two", q50[:3], [q50[3], q60[1]]),
        ("two_to_one_wide", q60[:2], q60[2:]),
        ("narrow_to_wide", q40, [q60[0], q50[0]]),
    ):
        product = prod(source)
        # Near the border of the centred range, then random values. On the border itself the
        # exact lift is not specified, so those values come with the approximate one only.
        near = product >> 50
        inner = [0, 1, product - 1, product // 2 - near, product // 2 + near]
        inner += random_values(product, range(1, 12), 4)
        values = [*inner, product // 2, product // 2 + 1]
        rows = [[v % q for v in values] for q in source]
        sums = [approximate_lift(v, source) for v in values]
        # A sum of centred terms is the value up to a few multiples of the product.
        for total, value in zip(sums, values, strict=True):
            assert (total - value) % product == 0
            assert 2 * abs(total) <= len(source) * product
        cases.append(
            {
                "name": name,
                "source": source,
                "target": target,
                "in": rows,
                "approximate": [[s % p for s in sums] for p in target],
                "exact_centred": [[centred(v, product) % p for v in inner] for p in target],
            }
        )
    return cases


def rescale_cases() -> list[Case]:
    """Division by the last primes: rounded to nearest, and with the approximate lift."""
    q50 = [prime_below(50, STEP, i) for i in range(3)]
    q40 = [prime_below(40, STEP, i) for i in range(3)]
    cases = []
    for name, keep, drop in (
        ("one", q50[:2], q40[:1]),
        ("two", q50[:2], q40[:2]),
        ("three", q50, q40),
    ):
        divisor, product = prod(drop), prod(keep + drop)
        edges = [0, 1, divisor // 2, divisor // 2 + 1, divisor, product - 1, product // 2]
        values = [v % product for v in edges] + random_values(product, range(20, 36), 6)
        exact = [(v - centred(v, divisor)) // divisor for v in values]
        approximate = [(v - approximate_lift(v, drop)) // divisor for v in values]
        cases.append(
            {
                "name": name,
                "keep": keep,
                "drop": drop,
                "in": [[v % q for v in values] for q in keep + drop],
                "rounded": [[v % q for v in exact] for q in keep],
                "approximate": [[v % q for v in approximate] for q in keep],
            }
        )
    return cases


def write(name: str, about: dict[str, str], cases: list[Case]) -> None:
    head = json.dumps({"generator": GENERATOR} | about, indent=1)[:-2]
    body = ",\n".join("  " + json.dumps(case, separators=(",", ":")) for case in cases)
    (FOLDER / name).write_text(f'{head},\n "cases": [\n{body}\n ]\n}}\n')


def main() -> None:
    check_chacha20()
    primes = {"q17": 65537, "q40": prime_below(40, STEP), "q50": prime_below(50, STEP)}
    primes |= {"q60": prime_below(60, STEP), "q61": prime_below(61, STEP)}
    # Just above 2^64 / 9: a ninth of all words is not taken from a seed's stream.
    ninth = (1 << 64) // 9 // STEP * STEP + 1
    while not is_prime(ninth):
        ninth += STEP
    primes["ninth"] = ninth
    write(
        "ntt.json",
        {
            "psi": "c^((q-1)/2N), c the least quadratic non-residue",
            "a_eval": "a_eval[i] = a(psi^(2 bitrev(i) + 1)) mod q",
            "product": "a * b mod (X^N + 1, q), in coefficients",
            "automorphisms": "a(X^galois) mod (X^N + 1, q), in coefficients",
            "coefficients": LCG + "; a is the first N words, b the next N; maximal: all q - 1",
        },
        ntt_cases(primes),
    )
    write(
        "expand_seed.json",
        {
            "stream": "ChaCha20, 64-bit counter from 0, 64-bit nonce, 20 rounds",
            "nonce": "key_index << 32 | digit << 16 | limb",
            "double words": "word i = 128-bit little-endian word at byte 16 i of the stream, mod q",
            "words": "word i = 64-bit little-endian word at byte 8 i, mod q; for the last 2^64 mod "
            "q words the 128-bit word at byte 16 i from block 2^32 on, mod q",
        },
        seed_cases(primes),
    )
    write(
        "base_convert.json",
        {
            "approximate": "y_i = centred(x_i (Q/q_i)^-1 mod q_i) in (-q_i/2, q_i/2]; "
            "out_j = sum_i y_i (Q/q_i) mod p_j",
            "exact_centred": "x in (-Q/2, Q/2], mod p_j; not for the last two",
            "rows": "one row per prime, one column per value",
        },
        conversion_cases(),
    )
    write(
        "rescale.json",
        {
            "rounded": "round(x / D) mod q, D the product of the dropped primes (odd: no halves)",
            "approximate": "(x - lift(x mod D)) / D mod q, lift: see base_convert.json",
            "rows": "one row per prime (in: keep, then drop), one column per value",
        },
        rescale_cases(),
    )


if __name__ == "__main__":
    main()
