"""OpenFHE beside ours: same ring, chain, scale and digits; hybrid key-switching, FIXEDMANUAL.

Its special primes are chosen by the library (60 bits each), ours have 50. Threads are those of
OMP_NUM_THREADS. Lists of values cross from and to Python inside `encode`, `encrypt_pk` and
`decrypt_decode`, because its interface has no other way.
"""

from __future__ import annotations

from importlib.metadata import version

import serve

# Ring, levels, bits of the bottom prime, of the others (the scale), digits.
SETS = {
    "n13_k2": (13, 1, 50, 40, 2),
    "n14_k9": (14, 8, 50, 40, 9),
    "n15_k15": (15, 14, 50, 45, 5),
    "toy": (10, 2, 50, 40, 3),
}
HOISTED = range(1, 9)
STEPS = 3


class Party:
    """A context with keys for everything."""

    def __init__(self, name: str, rotations: list[int]) -> None:
        import openfhe as fhe

        log_n, depth, first, scale, dnum = SETS[name]
        self.n, self.limbs, self.scale, self.dnum = 1 << log_n, depth + 1, scale, dnum
        self.note = "special primes of 60 bits"
        try:
            self.context = self.make(fhe, fhe.HEStd_128_classic, first)
        except RuntimeError:
            self.context = self.make(fhe, fhe.HEStd_NotSet, first)
            self.note += "; security level not set, to reach equal parameters"
        for feature in (fhe.PKE, fhe.KEYSWITCH, fhe.LEVELEDSHE, fhe.ADVANCEDSHE):
            self.context.Enable(feature)
        self.keys = self.context.KeyGen()
        self.context.EvalMultKeyGen(self.keys.secretKey)
        self.context.EvalRotateKeyGen(self.keys.secretKey, rotations)

    def make(self, fhe, security, first: int):
        parameters = fhe.CCParamsCKKSRNS()
        parameters.SetSecurityLevel(security)
        parameters.SetRingDim(self.n)
        parameters.SetMultiplicativeDepth(self.limbs - 1)
        parameters.SetFirstModSize(first)
        parameters.SetScalingModSize(self.scale)
        parameters.SetScalingTechnique(fhe.FIXEDMANUAL)
        parameters.SetKeySwitchTechnique(fhe.HYBRID)
        parameters.SetNumLargeDigits(self.dnum)
        parameters.SetSecretKeyDist(fhe.UNIFORM_TERNARY)
        return fhe.GenCryptoContext(parameters)

    def facts(self, **more) -> dict:
        return {
            "n": self.n,
            "limbs": self.limbs,
            "dnum": self.dnum,
            "log_scale": self.scale,
            # Its hoisted rotations at n15_k15 were seen at 1.6e-7, ten times its plain ones: noise,
            # which a wrong limb exceeds by far. Our tolerance is a sixteenth of it.
            "tolerance": 2.0 ** (24 - self.scale),
            "note": self.note,
            **more,
        }

    def encode(self, x):
        return self.context.MakeCKKSPackedPlaintext(x)

    def encrypt(self, x):
        return self.context.Encrypt(self.keys.publicKey, self.encode(x))

    def decrypt(self, ct) -> list[float]:
        return self.context.Decrypt(self.keys.secretKey, ct).GetRealPackedValue()


cache: dict[str, Party] = {}


def party(name: str, rotations: list[int]) -> Party:
    """One context at a time: keys are large."""
    key = f"{name} {rotations}"
    if key not in cache:
        cache.clear()
        import openfhe

        openfhe.ReleaseAllContexts()
        cache[key] = Party(name, rotations)
    return cache[key]


def prepare(name: str, threads: int, smoke: bool) -> serve.Case:
    layer, op, params = name.split("/")
    if (layer, op) == ("matrix", "plain_matvec"):
        shape, _, chosen = params.partition("_")
        size = 16 if smoke else int(shape.split("x")[0])
        return matvec("toy" if smoke else chosen or "n13_k2", size)
    return ckks(op, "toy" if smoke else params)


def ckks(op: str, params: str) -> serve.Case:
    p = party(params, list(HOISTED))
    context, slots = p.context, p.n // 2
    x, y = serve.values(slots, 1), serve.values(slots, 2)
    a, b = p.encrypt(x), p.encrypt(y)

    def ciphertext(call, want):
        return serve.Case(p.facts(), call, lambda ct: serve.distance(p.decrypt(ct), want))

    match op:
        case "encode":
            zero = p.encrypt([0.0] * slots)
            return serve.Case(
                p.facts(),
                lambda: p.encode(x),
                lambda plain: serve.distance(p.decrypt(context.EvalAdd(zero, plain)), x),
            )
        case "encrypt_pk":
            return ciphertext(lambda: p.encrypt(x), x)
        case "decrypt_decode":
            return serve.Case(p.facts(), lambda: p.decrypt(a), lambda got: serve.distance(got, x))
        case "add":
            want = [u + v for u, v in zip(x, y, strict=True)]
            return ciphertext(lambda: context.EvalAdd(a, b), want)
        case "mul_relin_rescale":
            want = [u * v for u, v in zip(x, y, strict=True)]
            return ciphertext(lambda: context.Rescale(context.EvalMult(a, b)), want)
        case "rotate":
            return ciphertext(lambda: context.EvalRotate(a, STEPS), serve.rotated(x, STEPS))
        case "rotate_hoisted8":

            def hoisted():
                digits = context.EvalFastRotationPrecompute(a)
                return [context.EvalFastRotation(a, k, 2 * p.n, digits) for k in HOISTED]

            def error(outputs):
                pairs = zip(HOISTED, outputs, strict=True)
                return max(serve.distance(p.decrypt(o), serve.rotated(x, k)) for k, o in pairs)

            return serve.Case(p.facts(), hoisted, error)
    raise ValueError(f"openfhe_peer has no {op}")


def matvec(params: str, size: int) -> serve.Case:
    """Diagonals encoded beforehand, baby steps hoisted, as a user of its interface would."""
    baby = 1 << (size.bit_length() // 2)
    giant = size // baby
    rotations = list(range(1, baby)) + [baby * j for j in range(1, giant)]
    p = party(params, rotations)
    context, slots = p.context, p.n // 2
    gain = size**-0.5
    w = [[v * gain for v in serve.values(size, 100 + i)] for i in range(size)]
    x = serve.values(size, 4)
    want = [sum(u * v for u, v in zip(row, x, strict=True)) for row in w]
    ct = p.encrypt(x * (slots // size))

    def diagonal(i: int, j: int):
        k = i + baby * j
        entries = [w[r][(r + k) % size] for r in range(size)]
        return p.encode(serve.rotated(entries, -baby * j % size) * (slots // size))

    diagonals = [[diagonal(i, j) for i in range(baby)] for j in range(giant)]

    def call():
        digits = context.EvalFastRotationPrecompute(ct)
        inputs = [ct] + [context.EvalFastRotation(ct, i, 2 * p.n, digits) for i in range(1, baby)]
        total = None
        for j in range(giant):
            part = context.EvalMult(inputs[0], diagonals[j][0])
            for i in range(1, baby):
                part = context.EvalAdd(part, context.EvalMult(inputs[i], diagonals[j][i]))
            if j > 0:
                part = context.EvalRotate(part, baby * j)
            total = part if total is None else context.EvalAdd(total, part)
        return context.Rescale(total)

    note = f"{p.note}; own baby-step giant-step, {baby} x {giant}, hoisted baby steps"
    return serve.Case(
        p.facts(note=note), call, lambda got: serve.distance(p.decrypt(got)[:size], want)
    )


def openfhe_version() -> str:
    import openfhe  # noqa: F401  (a failure to import must show here)

    return version("openfhe")


if __name__ == "__main__":
    serve.serve(openfhe_version, prepare)
