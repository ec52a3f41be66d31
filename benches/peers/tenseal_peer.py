"""TenSEAL (SEAL without HEXL) beside ours: same ring, chain and scale.

SEAL has one special prime and one digit per limb. At n14_k9 that is what ours has; at n15_k15 it
means 15 digits and a smaller modulus. Its vectors encode when they encrypt, `mm` encodes the matrix
inside, and there is no rotation in its interface.
"""

from __future__ import annotations

import serve

# Ring, bits of the bottom prime, of the others (the scale), levels.
SETS = {
    "n13_k2": (13, 50, 40, 1),
    "n14_k9": (14, 50, 40, 8),
    "n15_k15": (15, 50, 45, 14),
    "toy": (13, 50, 40, 2),
}


class Party:
    """A context with keys."""

    def __init__(self, name: str, threads: int, galois: bool) -> None:
        import tenseal as ts

        self.ts = ts
        log_n, first, scale, depth = SETS[name]
        self.n, self.limbs, self.scale = 1 << log_n, depth + 1, scale
        self.context = ts.context(
            ts.SCHEME_TYPE.CKKS,
            poly_modulus_degree=self.n,
            coeff_mod_bit_sizes=[first, *[scale] * depth, first],
            n_threads=threads,
        )
        self.context.global_scale = 2.0**scale
        if galois:
            self.context.generate_galois_keys()

    def facts(self, **more) -> dict:
        return {
            "n": self.n,
            "limbs": self.limbs,
            "special_limbs": 1,
            "dnum": self.limbs,
            "log_scale": self.scale,
            # Its scales are nominal, off by what the primes differ from powers of two.
            "tolerance": 2.0 ** (22 - self.scale),
            **more,
        }

    def encrypt(self, x):
        return self.ts.ckks_vector(self.context, x)


cache: dict[str, Party] = {}


def party(name: str, threads: int, galois: bool) -> Party:
    """One context at a time: keys are large."""
    key = f"{name} {threads} {galois}"
    if key not in cache:
        cache.clear()
        cache[key] = Party(name, threads, galois)
    return cache[key]


def prepare(name: str, threads: int, smoke: bool) -> serve.Case:
    layer, op, params = name.split("/")
    if (layer, op) == ("matrix", "plain_matvec"):
        size = 16 if smoke else int(params.split("x")[0])
        return matvec("toy" if smoke else "n13_k2", threads, size)
    return ckks(op, "toy" if smoke else params, threads)


def ckks(op: str, params: str, threads: int) -> serve.Case:
    p = party(params, threads, False)
    slots = p.n // 2
    x, y = serve.values(slots, 1), serve.values(slots, 2)
    a, b = p.encrypt(x), p.encrypt(y)
    note = "one special prime, one digit per limb"

    def vector(call, want):
        facts = p.facts(note=note)
        return serve.Case(facts, call, lambda got: serve.distance(got.decrypt(), want))

    match op:
        case "encrypt_pk":
            return vector(lambda: p.encrypt(x), x)
        case "decrypt_decode":
            facts = p.facts(note=note)
            return serve.Case(facts, a.decrypt, lambda got: serve.distance(got, x))
        case "add":
            return vector(lambda: a + b, [u + v for u, v in zip(x, y, strict=True)])
        case "mul_relin_rescale":
            return vector(lambda: a * b, [u * v for u, v in zip(x, y, strict=True)])
    raise ValueError(f"tenseal_peer has no {op}")


def matvec(params: str, threads: int, size: int) -> serve.Case:
    p = party(params, threads, True)
    gain = size**-0.5
    w = [[v * gain for v in serve.values(size, 100 + i)] for i in range(size)]
    x = serve.values(size, 4)
    want = [sum(u * v for u, v in zip(row, x, strict=True)) for row in w]
    transposed = [list(column) for column in zip(*w, strict=True)]
    ct = p.encrypt(x)
    return serve.Case(
        p.facts(note="the matrix is encoded inside the call"),
        lambda: ct.mm(transposed),
        lambda got: serve.distance(got.decrypt(), want),
    )


def tenseal_version() -> str:
    import tenseal

    return tenseal.__version__


if __name__ == "__main__":
    serve.serve(tenseal_version, prepare)
