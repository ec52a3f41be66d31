"""openfhe-numpy beside ours: products of matrices of a ciphertext each, slots in, slots out.

Its square product takes three levels, with automatic scales; so the ring is 2^14 for both ids, at
the 128 bits of OpenFHE's table. Special primes are chosen by the library. A plaintext side is
encoded beforehand, like ours.
"""

from __future__ import annotations

from importlib.metadata import version

import serve

LOG_N, DEPTH, FIRST, SCALE = 14, 3, 50, 40


def prepare(name: str, threads: int, smoke: bool) -> serve.Case:
    import numpy as np
    import openfhe as fhe  # before its extension, which does not load without it
    import openfhe_numpy as onp

    layer, op, params = name.split("/")
    if (layer, op) not in [("matrix", "cc_mm"), ("matrix", "cp_mm")]:
        raise ValueError(f"openfhe_numpy_peer has no {name}")
    size, log_n = (8, 11) if smoke else (int(params), LOG_N)
    fhe.ReleaseAllContexts()
    parameters = fhe.CCParamsCKKSRNS()
    parameters.SetSecurityLevel(fhe.HEStd_NotSet if smoke else fhe.HEStd_128_classic)
    parameters.SetRingDim(1 << log_n)
    parameters.SetMultiplicativeDepth(DEPTH)
    parameters.SetFirstModSize(FIRST)
    parameters.SetScalingModSize(SCALE)
    parameters.SetScalingTechnique(fhe.FLEXIBLEAUTO)
    parameters.SetKeySwitchTechnique(fhe.HYBRID)
    parameters.SetSecretKeyDist(fhe.UNIFORM_TERNARY)
    context = fhe.GenCryptoContext(parameters)
    for feature in (fhe.PKE, fhe.KEYSWITCH, fhe.LEVELEDSHE, fhe.ADVANCEDSHE):
        context.Enable(feature)
    keys = context.KeyGen()
    context.EvalMultKeyGen(keys.secretKey)
    onp.gen_square_matmult_key(keys.secretKey, size)
    a = np.array(serve.values(size * size, 1)).reshape(size, size)
    b = np.array(serve.values(size * size, 2)).reshape(size, size) * size**-0.5

    def encrypted(x):
        return onp.array(context, x, fhe_type="C", public_key=keys.publicKey)

    left, right = encrypted(a), encrypted(b) if op == "cc_mm" else onp.array(context, b)

    def error(product) -> float:
        got = product.decrypt(keys.secretKey, unpack_type="original")
        return float(np.abs(got - a @ b).max())

    facts = {
        "n": 1 << log_n,
        "limbs": DEPTH + 1,
        "log_scale": SCALE,
        "tolerance": 1e-4,
        "note": f"{size} x {size}, three levels, automatic scales, special primes of the library",
    }
    return serve.Case(facts, lambda: left @ right, error)


def openfhe_numpy_version() -> str:
    import openfhe  # noqa: F401
    import openfhe_numpy  # noqa: F401  (a failure to import must show here)

    return version("openfhe_numpy")


if __name__ == "__main__":
    serve.serve(openfhe_numpy_version, prepare)
