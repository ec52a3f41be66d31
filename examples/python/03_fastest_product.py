"""Multiply two encrypted matrices by the plan that is fastest on the server's device."""

import tempfile

import numpy as np

import ringloom as rl

rng = np.random.default_rng(1)
A, B = rng.uniform(-1, 1, (24, 16)), rng.uniform(-1, 1, (16, 40))
params = rl.Params.for_encrypted_coeff_product()

# The server measures its device once and keeps what it measured. From the shapes it works out every
# way to multiply, with time, keys, memory and error; the fastest one that fits is taken.
with tempfile.TemporaryDirectory() as folder:
    calibration = rl.Calibration.cached(folder, params, device="cpu", threads=1)
plan = rl.explain(params, (24, 16, 40), calibration)
print(plan)

# The client makes the keys of that plan and encrypts as it wants each side; so does somebody who
# has only the public key. `plan.pin(name)` would take another plan.
client = rl.Client(params)
keys = client.keygen(plan.key_request)
owner = rl.Encryptor(params, client.public_key)
a = owner.encrypt_matrix(A, packing=plan.left)
b = client.encrypt_matrix(B, packing=plan.right)

# No secret from here on.
server = rl.Session(params, keys, device="cpu", threads=1, calibration=calibration)
y = server.load_matrix(a) @ server.load_matrix(b)

error = np.abs(client.decrypt_matrix(y.export()) - A @ B).max()
print(y, f"largest error {error:.1e}, predicted deviation {plan.error:.1e}", sep="\n")
assert error < 10 * plan.error
