"""Compute on an encrypted array that is larger than a ciphertext, as numpy would."""

import numpy as np

import ringloom as rl

a = np.random.default_rng(1).uniform(-1, 1, (100, 64))

# Plans say what each operation costs, and which keys it needs, before there is a key.
params = rl.Params.for_depth(2)
packing = rl.ArrayPacking(params, a.shape)
means, window = packing.sum_plan(axis=1, level=1), packing.slice_plan(np.s_[10:20, 3:8], level=1)
print(packing, means, window, sep="\n")

client = rl.Client(params)
server = rl.Session(params, client.keygen(means.key_request | window.key_request))
x = server.load_matrix(client.encrypt_matrix(a, packing=packing))

scaled = x * 0.5 + np.arange(64)  # level 2 to 1
rows, part = scaled.sum(axis=1), scaled[10:20, 3:8]
print(rows, part, sep="\n")

clear = a * 0.5 + np.arange(64)
for got, want in [(rows, clear.sum(axis=1)), (part, clear[10:20, 3:8])]:
    assert np.allclose(client.decrypt_matrix(got.export()), want, atol=1e-3)
