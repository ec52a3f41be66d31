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


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_entry_by_entry(
    party: tuple[rl.Client, rl.Session], rng: np.random.Generator, form: str
) -> None:
    client, server = party
    a, b = rng.uniform(-1, 1, (3, 70)), rng.uniform(-1, 1, (3, 70))
    x, y = (server.load_matrix(client.encrypt_matrix(v, form=form)) for v in (a, b))
    row, column = rng.uniform(-1, 1, 70), rng.uniform(-1, 1, (3, 1))
    z = 2 * (x - y) - a
    for got, want in [
        (z, 2 * (a - b) - a),
        (z * -0.5 + row + column + 1, b - a / 2 + row + column + 1),
        (b - x, b - a),
        (-x + row[None], row - a),
        (x.T + b.T, (a + b).T),
    ]:
        assert got.shape == want.shape
        np.testing.assert_allclose(client.decrypt_matrix(got.export()), want, atol=1e-6)
    assert (z.level, (x + b).level) == (1, 2)
    axis = 0 if form == "rows" else 1
    for got, want in [
        (x.sum(axis, keepdims=True), a.sum(axis, keepdims=True)),
        (x.T.sum(-1 - axis, keepdims=True), a.T.sum(-1 - axis, keepdims=True)),
    ]:
        assert got.shape == want.shape
        np.testing.assert_allclose(client.decrypt_matrix(got.export()), want, atol=1e-6)


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
    with pytest.raises(rl.errors.ShapeError, match="a matrix with 4 columns"):
        np.ones((2, 3)) @ x
    with pytest.raises(rl.errors.ShapeError, match="encrypted by columns"):
        x @ np.ones((3, 2))
    with pytest.raises(rl.errors.ShapeError, match=r"broadcasts to shape \(4, 3\)"):
        x + np.ones(4)
    with pytest.raises(rl.errors.ShapeError, match="change the form"):
        x.sum(1, keepdims=True)
    with pytest.raises(rl.errors.ShapeError, match="keepdims=True"):
        x.sum(0)
    with pytest.raises(rl.errors.ShapeError, match="from -2 to 1"):
        x.sum(2, keepdims=True)
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


def decrypted(client: rl.Client, x: rl.MatrixTensor) -> np.ndarray:
    return client.decrypt_matrix(x.export())


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 64), (64, 2, 65), (65, 9, 3)])
@pytest.mark.parametrize("factor", ["left", "right"])
def test_products_of_encrypted_matrices(
    party: tuple[rl.Client, rl.Session],
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    factor: str,
) -> None:
    client, _ = party
    m, k, n = shape
    a, b = rng.uniform(-1, 1, (m, k)), rng.uniform(-1, 1, (k, n))
    plan = rl.matmul_plan(client.params, shape, factor=factor)
    assert (plan.shape, plan.level, plan.factor) == (shape, 2, factor)
    server = rl.Session(client.params, client.keygen(plan.key_request, progress=False))
    encryptor = rl.Encryptor(client.params, client.public_key)
    left, right = factor == "left", factor == "right"
    # One side comes from somebody who only has the public key.
    x = server.load_matrix(client.encrypt_matrix(a, form="columns", factor=left))
    y = server.load_matrix(encryptor.encrypt_matrix(b, factor=right))
    z = x @ y
    assert (z.shape, z.level, z.form) == ((m, n), 1, "rows" if left else "columns")
    np.testing.assert_allclose(decrypted(client, z), a @ b, atol=1e-6)
    # The transpose costs nothing, and it is the product of the transposes.
    np.testing.assert_allclose(decrypted(client, z.T), b.T @ a.T, atol=1e-6)


def test_products_chain(party: tuple[rl.Client, rl.Session], rng: np.random.Generator) -> None:
    client, _ = party
    params = client.params
    a, b, c, d = (rng.uniform(-1, 1, s) for s in [(4, 9), (9, 7), (5, 4), (7, 6)])
    plans = [
        rl.matmul_plan(params, (4, 9, 7)),
        rl.matmul_plan(params, (5, 4, 7), level=1),
        rl.transpose_plan(params, (4, 7), level=1),
        rl.matmul_plan(params, (4, 7, 6), level=1, factor="right"),
    ]
    request = rl.KeyRequest()
    for plan in plans:
        request |= plan.key_request
        again = pickle.loads(pickle.dumps(plan))
        assert (repr(again), again.key_switches) == (repr(plan), plan.key_switches)
    server = rl.Session(params, client.keygen(request, progress=False))

    def load(x: np.ndarray, **how: object) -> rl.MatrixTensor:
        return server.load_matrix(client.encrypt_matrix(x, **how))  # type: ignore[arg-type]

    y = load(a, form="columns", factor=True) @ load(b)
    z = load(c, form="columns", factor=True, level=1) @ y
    assert (z.shape, z.level, z.form) == ((5, 7), 0, "rows")
    np.testing.assert_allclose(decrypted(client, z), c @ a @ b, atol=1e-5)
    # As a left side it changes its form first.
    z = y.to_form("columns") @ load(d, factor=True, level=1)
    assert (z.shape, z.level, z.form) == ((4, 6), 0, "columns")
    np.testing.assert_allclose(decrypted(client, z), a @ b @ d, atol=1e-5)
    assert y.to_form("rows").form == "rows"


def test_refused_products(party: tuple[rl.Client, rl.Session]) -> None:
    client, server = party
    ct = client.encrypt_matrix(np.ones((4, 3)), form="columns", factor=True)
    assert "form=columns, level=2, scale=factor" in repr(ct)
    x = server.load_matrix(ct)
    assert "scale=factor" in repr(x)
    y = server.load_matrix(client.encrypt_matrix(np.ones((3, 2))))
    assert "scale=2^40" in repr(y)
    with pytest.raises(rl.errors.KeyMissingError) as missing:
        x @ y
    note = "ringloom.matmul_plan(params, (4, 3, 2), level=2, factor='left')"
    assert note in missing.value.__notes__[0]
    with pytest.raises(rl.errors.KeyMissingError) as missing:
        y.to_form("columns")
    note = "ringloom.transpose_plan(params, (3, 2), form='rows', level=2)"
    assert note in missing.value.__notes__[0]
    for left, right in [(y, x), (y.T, y), (x, x.T), (x.T, y)]:
        with pytest.raises(rl.errors.ShapeError, match="factor=True") as refused:
            left @ right
        assert "to_form" in refused.value.__notes__[0]
    with pytest.raises(rl.errors.ShapeError, match="a matrix with 3 rows"):
        x @ server.load_matrix(client.encrypt_matrix(np.ones((4, 2))))
    with pytest.raises(rl.errors.LevelMismatchError):
        x @ server.load_matrix(client.encrypt_matrix(np.ones((3, 2)), level=1))
    with pytest.raises(TypeError, match=r"session\.load_matrix"):
        x @ ct
    with pytest.raises(TypeError, match="leave log_scale out"):
        client.encrypt_matrix(np.ones((1, 1)), factor=True, log_scale=30)
    with pytest.raises(rl.errors.UnknownNameError, match="left, right"):
        rl.matmul_plan(client.params, (1, 1, 1), factor="both")
    with pytest.raises(rl.errors.ShapeError):
        rl.matmul_plan(client.params, (1, 0, 1))


def test_default_scale_leaves_room_at_the_bottom() -> None:
    params = rl.Params.for_encrypted_coeff_product()
    assert params.security_report().claimed_bits == 128
    assert "scale=2^28" in repr(rl.Client(params).encrypt_matrix(np.ones((1, 1))))
