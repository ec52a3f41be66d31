"""Encrypt, multiply by a matrix, decrypt."""

import numpy as np

import ringloom as rl

W, b, x = np.arange(32.0).reshape(4, 8) / 32, np.ones(4), np.linspace(-1, 1, 8)

params = rl.Params.for_depth(1)
client = rl.Client(params)  # holds the secret key
keys = client.keygen(rl.matvec_plan(params, W.shape).key_request)

server = rl.Session(params, keys)  # has the keys to compute, not the one to decrypt
y = W @ server.load(client.encrypt(x)) + b

assert np.allclose(client.decrypt(y.export()), W @ x + b, atol=1e-5)
print(y, client.decrypt(y.export()), sep="\n")
