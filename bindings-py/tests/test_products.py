"""Products by the fastest plan, stacks in tiles, and rows that share their mask, against numpy."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import ringloom as rl

Shape = tuple[int, int, int]


@pytest.fixture(scope="module")
def params() -> rl.Params:
    return rl.Params.insecure_toy(2, 6)


@pytest.fixture(scope="module")
def measured(params: rl.Params) -> rl.Calibration:
    return rl.Calibration.measure(params, device="cpu", threads=1)


@pytest.fixture(scope="module")
def client(params: rl.Params) -> rl.Client:
    return rl.Client(params, threads=1)


def serve(client: rl.Client, keys: rl.KeyRequest, **how: object) -> rl.Session:
    made = client.keygen(keys, progress=False)
    return rl.Session(client.params, made, device="cpu", threads=1, **how)  # type: ignore[arg-type]


def test_calibrations(params: rl.Params, measured: rl.Calibration, tmp_path: Path) -> None:
    assert pickle.loads(pickle.dumps(measured)) == measured
    assert rl.Calibration.from_json(measured.to_json()) == measured
    assert measured.clock == "thread"
    with pytest.raises(rl.errors.SerializationError):
        rl.Calibration.from_json("{}")
    kept = [
        rl.Calibration.cached(tmp_path, params, device="cpu", threads=1).to_json() for _ in range(2)
    ]
    assert kept[0] == kept[1]
    other = rl.Params.insecure_toy(1, 6)
    with pytest.raises(rl.errors.ParamsMismatchError):
        rl.Session(other, rl.Client(other).keygen(rl.KeyRequest()), calibration=measured)


def test_the_fastest_plan_is_explained(params: rl.Params, measured: rl.Calibration) -> None:
    explained = rl.explain(params, (4, 4, 4), measured, level=2)
    assert explained.choice == explained.plans[0]
    assert min(explained.ms, explained.error, explained.key_switches) > 0
    assert (explained.shape, explained.level, explained.count) == ((4, 4, 4), 2, 1)
    assert "transpose" in str(explained)
    radix = explained.pin("coefficients/left/radix4")
    # Those of the tree and the relinearisation; half of each is a seed.
    assert (radix.keys, radix.transpose_keys) == (4, 3)
    assert 0 < radix.sent_bytes <= radix.key_bytes / 2
    assert radix.load_ms > 0
    # One product pays for its keys, many share them.
    once = rl.explain(params, (64, 64, 64), measured, uses=1)
    often = rl.explain(params, (64, 64, 64), measured, uses=10**9)
    assert once.ms + once.load_ms <= often.ms + often.load_ms
    assert often.plans == rl.explain(params, (64, 64, 64), measured).plans
    assert pickle.loads(pickle.dumps(once)).choice == once.choice
    assert "keys for 1 products" in str(pickle.loads(pickle.dumps(once)))
    with pytest.raises(rl.errors.ShapeError, match="at least one product"):
        rl.explain(params, (4, 4, 4), measured, uses=0)
    pinned = explained.pin("slots")
    assert pinned.choice == "slots"
    assert "* slots" in str(pinned)
    assert pinned.plans == explained.plans
    again = pickle.loads(pickle.dumps(pinned))
    assert (repr(again), str(again)) == (repr(pinned), str(pinned))
    plain = rl.explain(params, (3, 40, 70), measured, left="plain")
    assert set(plain.plans) == {"coefficients", "features", "slots"}
    assert plain.pin("coefficients").key_bytes == 0
    assert plain.left is None
    assert plain.right is not None
    assert (plain.right.shape, plain.right.plan) == ((40, 70), plain.choice)
    with pytest.raises(rl.errors.PlanMemoryError, match="expected at most 1000 bytes"):
        rl.explain(params, (4, 4, 4), measured, memory=1000)
    with pytest.raises(rl.errors.PrecisionError):
        rl.explain(params, (4, 4, 4), measured, tolerance=1e-30)
    with pytest.raises(rl.errors.UnknownNameError, match="encrypted, plain"):
        rl.explain(params, (4, 4, 4), measured, left="clear")
    with pytest.raises(rl.errors.UnknownNameError, match="slots"):
        explained.pin("diagonals")
    with pytest.raises(rl.errors.ShapeError, match="one product with a side in the clear"):
        rl.explain(params, (4, 4, 4), measured, left="plain", count=2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 64), (33, 2, 3)])
def test_every_plan_of_encrypted_matrices(
    params: rl.Params,
    measured: rl.Calibration,
    client: rl.Client,
    rng: np.random.Generator,
    shape: Shape,
) -> None:
    m, k, n = shape
    a, b = rng.uniform(-1, 1, (m, k)), rng.uniform(-1, 1, (k, n))
    owner = rl.Encryptor(params, client.public_key, threads=1)
    explained = rl.explain(params, shape, measured)
    keys = rl.KeyRequest()
    for name in explained.plans:
        keys |= explained.pin(name).key_request
    server = serve(client, keys, calibration=measured)
    for name in explained.plans:
        plan = explained.pin(name)
        assert plan.left is not None
        assert plan.right is not None
        # Between the parties there are bytes only.
        left = pickle.loads(pickle.dumps(plan.left))
        assert repr(left) == repr(plan.left)
        x = pickle.loads(pickle.dumps(client.encrypt_matrix(a, packing=left)))
        y = owner.encrypt_matrix(b, packing=plan.right)
        assert (x.shape, y.shape, x.level) == ((m, k), (k, n), 2)
        u, v = server.load_matrix(x), server.load_matrix(y)
        w = u @ v
        assert (w.shape, w.level, w.packing) == ((m, n), 2 - plan.levels, u.packing)
        np.testing.assert_allclose(client.decrypt_matrix(w.export()), a @ b, atol=1e-4)
        transposed = client.decrypt_matrix(w.T.export())
        np.testing.assert_allclose(transposed, (a @ b).T, atol=1e-4)
        prepared = server.load_product(plan)
        assert (prepared.plan, prepared.shape) == (name, shape)
        np.testing.assert_allclose(client.decrypt_matrix(prepared(u, v).export()), a @ b, atol=1e-4)
        # What is packed already has fewer plans.
        assert set(server.explain(u, v).plans) <= set(explained.plans)


@pytest.mark.parametrize("side", ["left", "right"])
def test_every_plan_with_a_plain_side(
    params: rl.Params,
    measured: rl.Calibration,
    client: rl.Client,
    rng: np.random.Generator,
    side: str,
) -> None:
    m, k, n = shape = (5, 7, 40) if side == "left" else (40, 7, 5)
    a, b = rng.uniform(-1, 1, (m, k)), rng.uniform(-1, 1, (k, n))
    explained = rl.explain(params, shape, measured, **{side: "plain"})  # type: ignore[arg-type]
    for name in explained.plans:
        plan = explained.pin(name)
        server = serve(client, plan.key_request)
        packing = plan.right if side == "left" else plan.left
        x = server.load_matrix(client.encrypt_matrix(b if side == "left" else a, packing=packing))
        y = a @ x if side == "left" else x @ b
        assert (y.shape, y.level) == ((m, n), 1)
        np.testing.assert_allclose(client.decrypt_matrix(y.export()), a @ b, atol=1e-4)
        prepared = server.load_product(plan, a if side == "left" else b)
        again = client.decrypt_matrix(prepared(x).export())
        np.testing.assert_allclose(again, a @ b, atol=1e-4)
        if name == "features":
            bias = rng.uniform(-1, 1, (m, 1) if side == "left" else (n,))
            biased = client.decrypt_matrix((y + bias).export())
            np.testing.assert_allclose(biased, a @ b + bias, atol=1e-4)
            axis = 0 if side == "left" else 1
            total = client.decrypt_matrix(y.sum(axis, keepdims=True).export())
            np.testing.assert_allclose(total, (a @ b).sum(axis, keepdims=True), atol=1e-4)
        with pytest.raises(TypeError, match="takes weights"):
            server.load_product(plan)
        # The transposes the other way round.
        z = x.T @ a.T if side == "left" else b.T @ x.T
        np.testing.assert_allclose(client.decrypt_matrix(z.export()), (a @ b).T, atol=1e-4)


def test_stacks(
    params: rl.Params, measured: rl.Calibration, client: rl.Client, rng: np.random.Generator
) -> None:
    a, b = rng.uniform(-1, 1, (6, 4, 3)), rng.uniform(-1, 1, (6, 3, 5))
    explained = rl.explain(params, (4, 3, 5), measured, count=6)
    assert explained.count == 6
    assert all(name.startswith("tiles") for name in explained.plans)
    left, right = explained.left, explained.right
    assert left is not None
    assert left.shape == (6, 4, 3)
    server = serve(client, explained.key_request)
    x = server.load_matrix(client.encrypt_matrix(a, packing=left))
    y = server.load_matrix(client.encrypt_matrix(b, packing=right))
    assert (x.shape, x.ndim, x.packing) == ((6, 4, 3), 3, "tiles")
    z = pickle.loads(pickle.dumps((x @ y).export()))
    assert (z.shape, z.form, z.level) == ((6, 4, 5), None, 1)
    np.testing.assert_allclose(client.decrypt_matrix(z), a @ b, atol=1e-4)
    turned = client.decrypt_matrix((x @ y).T.export())
    np.testing.assert_allclose(turned, (a @ b).transpose(0, 2, 1), atol=1e-4)
    with pytest.raises(rl.errors.ShapeError, match=r"shape \(6, 4, 3\), the left side"):
        client.encrypt_matrix(a[0], packing=left)
    with pytest.raises(rl.errors.ShapeError, match="expected left side of 6 products"):
        x + y
    p, bias = x @ y, rng.uniform(-1, 1, (6, 4, 5))
    half = 0.5 * (p + p - bias + bias[:, :1])
    want = 0.5 * (2 * a @ b - bias + bias[:, :1])
    np.testing.assert_allclose(client.decrypt_matrix(half.export()), want, atol=1e-4)
    with pytest.raises(rl.errors.ShapeError, match="tiles of a row"):
        p.sum(0, keepdims=True)


def test_refused_before_it_starts(
    params: rl.Params, measured: rl.Calibration, client: rl.Client
) -> None:
    explained = rl.explain(params, (4, 3, 2), measured)
    needed = explained.nbytes + explained.key_bytes
    ones = np.ones((4, 3)), np.ones((3, 2))

    def load(server: rl.Session, plan: rl.Explanation) -> tuple[rl.MatrixTensor, rl.MatrixTensor]:
        return (
            server.load_matrix(client.encrypt_matrix(ones[0], packing=plan.left)),
            server.load_matrix(client.encrypt_matrix(ones[1], packing=plan.right)),
        )

    small = serve(client, explained.key_request, memory=needed - 1, calibration=measured)
    u, v = load(small, explained)
    for refused in (lambda: u @ v, lambda: small.load_product(explained)):
        with pytest.raises(rl.errors.PlanMemoryError, match=f"a plan of {needed}") as error:
            refused()
        assert f"at most {needed - 1} bytes" in str(error.value)
    enough = serve(client, explained.key_request, memory=needed)
    u, v = load(enough, explained)
    assert (u @ v).shape == (4, 2)
    with pytest.raises(TypeError, match="a session with a calibration"):
        enough.explain(u, v)
    with pytest.raises(TypeError, match="nothing is encrypted"):
        small.explain(*ones)

    # Without keys every missing one is named, and how to get them.
    bare = serve(client, rl.KeyRequest())
    for name in ("slots", next(p for p in explained.plans if p.startswith("tiles"))):
        plan = explained.pin(name)
        u, v = load(bare, plan)
        with pytest.raises(rl.errors.KeyMissingError, match="relinearisation") as missing:
            u @ v
        # Of arrays in slots their packing says it, of tiles the choice by cost.
        note = "ringloom.explain(params, (4, 3, 2), calibration, level=2)"
        if name == "slots":
            note = "matmul_plan(ringloom.ArrayPacking(params, (3, 2), 'columns'), level=2)"
        assert note in missing.value.__notes__[0]
        with pytest.raises(rl.errors.KeyMissingError):
            bare.load_product(plan)
    plain = rl.explain(params, (8, 8, 8), measured, left="plain").pin("slots")
    x = bare.load_matrix(client.encrypt_matrix(np.ones((8, 8)), packing=plain.right))
    with pytest.raises(rl.errors.KeyMissingError, match="rotations by") as missing:
        np.ones((8, 8)) @ x
    assert "left='plain'" in missing.value.__notes__[0]


def test_refused_packings(params: rl.Params, measured: rl.Calibration, client: rl.Client) -> None:
    explained = rl.explain(params, (3, 3, 3), measured)
    slots, tiles = explained.pin("slots"), explained.pin("coefficients/left/radix4")
    server = serve(client, slots.key_request)
    ones = np.ones((3, 3))
    x = server.load_matrix(client.encrypt_matrix(ones, packing=slots.left))
    y = server.load_matrix(client.encrypt_matrix(ones, packing=tiles.right))
    with pytest.raises(rl.errors.ShapeError, match="one packing"):
        x @ y
    with pytest.raises(rl.errors.PackingError, match="by rows left of @"):
        x @ ones
    plain = rl.explain(params, (3, 3, 3), measured, left="plain").pin("slots")
    z = server.load_matrix(client.encrypt_matrix(ones, packing=plain.right))
    with pytest.raises(rl.errors.ShapeError, match="encrypted for a plain"):
        z @ ones
    with pytest.raises(rl.errors.ShapeError, match="one packing"):
        x + y
    shifted = 2 * (x - 0.5) + np.arange(3.0)
    want = np.ones((3, 3)) + np.arange(3)
    np.testing.assert_allclose(client.decrypt_matrix(shifted.export()), want, atol=1e-4)
    with pytest.raises(rl.errors.ShapeError, match="in coefficients"):
        x.to_form("rows")
    low = rl.explain(params, (3, 3, 3), measured, level=1).pin("coefficients/left/radix4")
    u = server.load_matrix(client.encrypt_matrix(ones, packing=low.left))
    with pytest.raises(rl.errors.LevelMismatchError):
        u @ y
    with pytest.raises(TypeError, match="leave them out"):
        client.encrypt_matrix(ones, packing=slots.left, level=1)
    other = rl.Client(rl.Params.insecure_toy(1, 6))
    with pytest.raises(rl.errors.ParamsMismatchError):
        other.encrypt_matrix(ones, packing=slots.left)
    product = server.load_product(slots)
    with pytest.raises(TypeError, match="expected 2, got 1"):
        product(x)
    stranger = rl.Client(params)
    with pytest.raises(rl.errors.KeyMismatchError):
        server.load_matrix(stranger.encrypt_matrix(ones, packing=slots.left))
    for value in (x, product):
        with pytest.raises(TypeError, match="holds its session"):
            pickle.dumps(value)
    data = client.encrypt_matrix(ones, packing=slots.left).to_bytes()
    for bad in (data[:-1], data[:40], b""):
        with pytest.raises(rl.errors.SerializationError):
            rl.MatrixCiphertext.from_bytes(bad)
    with pytest.raises(rl.errors.SerializationError, match="an encrypted matrix"):
        rl.MatrixCiphertext.from_bytes(client.public_key.to_bytes())


def test_rows_that_share_their_mask(client: rl.Client, rng: np.random.Generator) -> None:
    w, x = rng.uniform(-1, 1, (3, 5)), rng.uniform(-1, 1, (5, 70))
    keys = client.shared_mask_keys(5, progress=False)
    again = pickle.loads(pickle.dumps(keys))
    assert (again.rows, again.level, again.key_id) == (5, 2, client.key_id)
    server = serve(client, rl.KeyRequest())
    weights = server.load_shared_weights(w, again, progress=False)
    assert (weights.shape, weights.level) == ((3, 5), 2)
    # Three keys, the five that they are made of, and three that are multiplied at a time.
    needed = 11 * weights.nbytes // 3
    small = serve(client, rl.KeyRequest(), memory=needed - 1)
    with pytest.raises(rl.errors.PlanMemoryError, match=f"a plan of {needed}"):
        small.load_shared_weights(w, again, progress=False)
    enough = serve(client, rl.KeyRequest(), memory=needed)
    assert enough.load_shared_weights(w, again, progress=False).nbytes == weights.nbytes
    ct = pickle.loads(pickle.dumps(client.encrypt_shared(x, keys)))
    assert (ct.shape, ct.level) == ((5, 70), 2)
    assert ct.nbytes < 0.7 * client.encrypt_matrix(x).nbytes
    y = weights @ server.load_shared(ct)
    assert (y.shape, y.level, y.form) == ((3, 70), 1, "rows")
    np.testing.assert_allclose(client.decrypt_matrix(y.export()), w @ x, atol=1e-6)
    # It is a matrix like any other.
    z = rng.uniform(-1, 1, (2, 3))
    np.testing.assert_allclose(client.decrypt_matrix((z @ y).export()), z @ w @ x, atol=1e-6)
    other = client.shared_mask_keys(5, level=1, progress=False)
    with pytest.raises(rl.errors.LevelMismatchError):
        weights @ server.load_shared(client.encrypt_shared(x, other))
    same_level = client.shared_mask_keys(5, progress=False)
    with pytest.raises(rl.errors.KeyMissingError, match="row secrets"):
        weights @ server.load_shared(client.encrypt_shared(x, same_level))
    with pytest.raises(rl.errors.ShapeError, match="a matrix with 5 rows"):
        client.encrypt_shared(x[:4], keys)
    stranger = rl.Client(client.params)
    with pytest.raises(rl.errors.KeyMismatchError):
        stranger.encrypt_shared(x, keys)
    with pytest.raises(rl.errors.KeyMismatchError):
        server.load_shared_weights(w, stranger.shared_mask_keys(5, progress=False))
    with pytest.raises(TypeError, match=r"session\.load_shared"):
        y @ ct
    with pytest.raises(rl.errors.SerializationError):
        rl.SharedMaskCiphertext.from_bytes(ct.to_bytes()[:-1])
    for value in (weights, server.load_shared(ct)):
        with pytest.raises(TypeError, match="holds its session"):
            pickle.dumps(value)
