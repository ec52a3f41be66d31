"""Encrypted matrices in coefficients against numpy."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import ringloom as rl


@pytest.fixture(scope="module")
def party() -> tuple[rl.Client, rl.Session]:
    client = rl.Client(rl.Params.insecure_toy(2, 6))
    return client, rl.Session(client.params, client.keygen(rl.KeyRequest(), progress=False))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 64), (7, 2, 65), (4, 9, 130)])
def test_products(
    party: tuple[rl.Client, rl.Session], rng: np.random.Generator, shape: tuple[int, int, int]
) -> None:
    client, server = party
    m, k, n = shape
    a, b = rng.uniform(-1, 1, (m, k)), rng.uniform(-1, 1, (k, n))
    x = server.load_matrix(client.encrypt_matrix(b))
    y = a @ x
    assert (y.shape, y.level, y.form, y.ndim) == ((m, n), 1, "rows", 2)
    np.testing.assert_allclose(client.decrypt_matrix(y.export()), a @ b, atol=1e-7)
    bias = rng.uniform(-1, 1, (m, 1))
    for got, want in [(y + bias, a @ b + bias), (y - 1, a @ b - 1), (1 + y, a @ b + 1)]:
        np.testing.assert_allclose(client.decrypt_matrix(got.export()), want, atol=1e-7)
    twice = client.decrypt_matrix((y + y).export())
    np.testing.assert_allclose(twice, 2 * (a @ b), atol=1e-7)

    x = server.load_matrix(client.encrypt_matrix(a, form="columns"))
    y = x @ b
    np.testing.assert_allclose(client.decrypt_matrix(y.export()), a @ b, atol=1e-7)
    # The transpose has rows, which a matrix multiplies from the left.
    z = rng.uniform(-1, 1, (2, n)) @ y.T
    assert (z.shape, z.level) == ((2, m), 0)


def test_bytes(party: tuple[rl.Client, rl.Session]) -> None:
    client, _ = party
    ct = client.encrypt_matrix(np.eye(3), form="columns", level=1, log_scale=30)
    again = pickle.loads(pickle.dumps(ct))
    assert (again.shape, again.form, again.level, again.key_id) == (
        (3, 3),
        "columns",
        1,
        client.key_id,
    )
    np.testing.assert_allclose(client.decrypt_matrix(again), np.eye(3), atol=1e-5)
    assert "form=columns, level=1, scale=2^30" in repr(ct)
    with pytest.raises(rl.errors.SerializationError):
        rl.MatrixCiphertext.from_bytes(ct.to_bytes()[:-1])


def test_refusals(party: tuple[rl.Client, rl.Session]) -> None:
    client, server = party
    x = server.load_matrix(client.encrypt_matrix(np.ones((4, 3))))
    with pytest.raises(rl.errors.ShapeError, match="a matrix with 3 rows"):
        np.ones((2, 3)) @ x
    with pytest.raises(rl.errors.ShapeError, match="encrypted by columns"):
        x @ np.ones((3, 2))
    with pytest.raises(rl.errors.ShapeError, match=r"\(4, 1\)"):
        x + np.ones(3)
    with pytest.raises(rl.errors.UnknownNameError, match="rows, columns"):
        client.encrypt_matrix(np.ones((1, 1)), form="diagonals")
    with pytest.raises(rl.errors.NotFiniteError):
        client.encrypt_matrix([[np.nan]])
    with pytest.raises(rl.errors.LevelExhaustedError):
        np.ones((1, 4)) @ server.load_matrix(client.encrypt_matrix(np.ones((4, 1)), level=0))
    stranger = rl.Client(client.params)
    with pytest.raises(rl.errors.KeyMismatchError):
        server.load_matrix(stranger.encrypt_matrix(np.ones((1, 1))))
    with pytest.raises(TypeError, match="holds its session"):
        pickle.dumps(x)
