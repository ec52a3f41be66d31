"""Multiply two encrypted matrices: the server sees neither side, nor the product."""

import numpy as np

import ringloom as rl

rng = np.random.default_rng(1)
A, B = rng.uniform(-1, 1, (32, 48)), rng.uniform(-1, 1, (48, 1000))

# The client asks what a product of these shapes needs, and makes the keys for it.
params = rl.Params.for_encrypted_coeff_product()
client = rl.Client(params)
plan = rl.matmul_plan(params, (32, 48, 1000))
keys = client.keygen(plan.key_request)

# The model's owner has the public key only. The left side is encrypted by columns, as a factor.
owner = rl.Encryptor(params, client.public_key)
weights = owner.encrypt_matrix(A, form="columns", factor=True)

server = rl.Session(params, keys)
y = server.load_matrix(weights) @ server.load_matrix(client.encrypt_matrix(B))

error = np.abs(client.decrypt_matrix(y.export()) - A @ B).max()
print(plan, y, f"largest error {error:.1e}", sep="\n")
assert error < 1e-3
