"""Arrays in slots with numpy's manners, against numpy. Toy parameters: insecure and quick."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

import ringloom as rl

Rng = np.random.Generator
SLOTS = 32
# Every boundary of the slot count, and sizes between.
SIZES = [1, 2, 3, 7, SLOTS - 1, SLOTS, SLOTS + 1, 2 * SLOTS, 2 * SLOTS + 1]
LINES = ["rows", "columns"]


@pytest.fixture(scope="module")
def params() -> rl.Params:
    return rl.Params.insecure_toy(4, 6)


@pytest.fixture(scope="module")
def client(params: rl.Params) -> rl.Client:
    return rl.Client(params, threads=1)


def serve(client: rl.Client, *plans: rl.ArrayPlan) -> rl.Session:
    request = rl.KeyRequest()
    for plan in plans:
        request |= plan.key_request
    keys = client.keygen(request, progress=False)
    return rl.Session(client.params, keys, device="cpu", threads=1)


def load(server: rl.Session, client: rl.Client, x: np.ndarray, packing: object) -> rl.MatrixTensor:
    """Between the parties there are bytes only."""
    ct = pickle.loads(pickle.dumps(client.encrypt_matrix(x, packing=packing)))  # type: ignore[arg-type]
    assert (ct.shape, ct.packing, ct.level) == (x.shape, "slots", 4)
    loaded = server.load_matrix(ct)
    assert (loaded.shape, loaded.ndim, len(loaded)) == (x.shape, x.ndim, x.shape[0])
    return loaded


def check(client: rl.Client, got: rl.MatrixTensor, want: np.ndarray, level: int) -> None:
    assert (got.shape, got.level) == (want.shape, level)
    np.testing.assert_allclose(client.decrypt_matrix(got.export()), want, atol=1e-4)


def random_shape(rng: Rng) -> tuple[int, ...]:
    axes = int(rng.integers(1, 3))
    rows, columns = (int(size) for size in rng.choice(SIZES, 2))
    return (rows,) if axes == 1 else (rows, columns if rows < SLOTS else min(columns, SLOTS + 1))


def random_packing(params: rl.Params, shape: tuple[int, ...], rng: Rng) -> rl.ArrayPacking:
    width = 1 << int(rng.integers(0, 6))
    return rl.ArrayPacking(params, shape, str(rng.choice(LINES)), width=width)


def random_slice(size: int, rng: Rng) -> slice:
    start, stop = sorted(int(at) for at in rng.choice(size + 1, 2, replace=False))
    return slice(start, stop)


@pytest.mark.parametrize("seed", range(10))
def test_entry_by_entry(params: rl.Params, client: rl.Client, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    packing = random_packing(params, shape, rng)
    a, b, row = rng.uniform(-1, 1, shape), rng.uniform(-1, 1, shape), rng.uniform(-1, 1, shape[-1])
    product, power = packing.mul_plan(), packing.power_plan(3)
    assert product.key_switches == packing.ciphertexts
    assert power.key_switches == 2 * packing.ciphertexts
    assert (product.level_out, power.level_out) == (3, 2)
    server = serve(client, product, power)
    x, y = load(server, client, a, packing), load(server, client, b, packing)
    assert x.array_packing == packing
    check(client, x + y, a + b, 4)
    check(client, x - y, a - b, 4)
    check(client, -x, -a, 4)
    check(client, x * y, a * b, product.level_out)
    check(client, x**3, a**3, power.level_out)
    check(client, 1 - x, 1 - a, 4)
    check(client, row + x - row, a, 4)
    check(client, row * x, row * a, 3)
    check(client, x * -2.5, -2.5 * a, 3)
    check(client, x.T, a.T, 4)
    check(client, x.T + y.T, (a + b).T, 4)
    check(client, x.align_to(1), a, 1)


@pytest.mark.parametrize("seed", range(12))
def test_moving_entries(params: rl.Params, client: rl.Client, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    shape = random_shape(rng)
    packing, target = random_packing(params, shape, rng), random_packing(params, shape, rng)
    a, b = rng.uniform(-1, 1, shape), rng.uniform(-1, 1, shape)
    key = tuple(random_slice(size, rng) for size in shape)
    at = int(rng.integers(-shape[0], shape[0]))
    axis = int(rng.integers(-len(shape), len(shape)))
    slices, one = packing.slice_plan(key), packing.slice_plan(at)
    sums, total = packing.sum_plan(axis), packing.sum_plan()
    kept = packing.sum_plan(axis, keepdims=True)
    converted = packing.convert_plan(target)
    joined = rl.concatenate_plan([packing, target], axis)
    plans = [slices, one, sums, total, kept, converted, joined]
    for plan in plans:
        again = pickle.loads(pickle.dumps(plan))
        assert (repr(again), again.key_request) == (repr(plan), plan.key_request)
    server = serve(client, *plans)
    x, y = load(server, client, a, packing), load(server, client, b, target)
    check(client, x[key], a[key], slices.level_out)
    check(client, x[at], np.atleast_1d(a[at]), one.level_out)
    check(client, x.sum(axis), np.atleast_1d(a.sum(axis)), sums.level_out)
    check(client, x.sum(axis, keepdims=True), a.sum(axis, keepdims=True), kept.level_out)
    check(client, x.sum(), np.atleast_1d(a.sum()), total.level_out)
    moved = x.to_packing(target)
    assert moved.array_packing == target
    check(client, moved, a, converted.level_out)
    check(client, rl.concatenate([x, y], axis), np.concatenate([a, b], axis), joined.level_out)


def test_slices_as_numpy_reads_them(params: rl.Params, client: rl.Client, rng: Rng) -> None:
    a = rng.uniform(-1, 1, (5, 40))
    packing = rl.ArrayPacking(params, a.shape)
    keys: list[Callable[[object], object]] = [
        lambda x: x[2:5],  # type: ignore[index]
        lambda x: x[:, 3:7],  # type: ignore[index]
        lambda x: x[-2],  # type: ignore[index]
        lambda x: x[..., 39],  # type: ignore[index]
        lambda x: x[1:, ...],  # type: ignore[index]
        lambda x: x[-1, -3:100],  # type: ignore[index]
    ]
    whole = [np.s_[2:5], np.s_[:, 3:7], -2, np.s_[..., 39], np.s_[1:, ...], np.s_[-1, -3:100]]
    plans = [packing.slice_plan(key) for key in whole]
    server = serve(client, *plans, *(packing.slice_plan(row) for row in range(5)))
    x = load(server, client, a, packing)
    for key, plan in zip(keys, plans, strict=True):
        got, want = key(x), key(a)
        assert isinstance(got, rl.MatrixTensor)
        assert isinstance(want, np.ndarray)
        check(client, got, want, plan.level_out)
    assert [row.shape for row in x] == [(40,)] * 5  # type: ignore[attr-defined]
    for bad in (5, -6, np.s_[0, 40], np.s_[0, 0, 0], np.s_[..., ...]):
        with pytest.raises(IndexError):
            x[bad]
    for bad in (np.s_[2:2], np.s_[::2]):
        with pytest.raises(rl.errors.ShapeError):
            x[bad]
    for odd in ("rows", True, None, [0, 1]):
        with pytest.raises(TypeError, match="whole numbers"):
            x[odd]  # type: ignore[index]


@pytest.mark.parametrize("seed", range(4))
def test_products(params: rl.Params, client: rl.Client, seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    m, k, n = (int(size) for size in rng.integers(1, 5, 3))
    a, b, w = rng.uniform(-1, 1, (m, k)), rng.uniform(-1, 1, (k, n)), rng.uniform(-1, 1, (n, k))
    left, right = random_packing(params, (m, k), rng), random_packing(params, (k, n), rng)
    vector = rl.ArrayPacking(params, k)
    plans = [left.matmul_plan(right), left.matmul_plan(vector), vector.matmul_plan(right)]
    rows, columns = rl.ArrayPacking(params, (m, k)), rl.ArrayPacking(params, (k, n), "columns")
    clear = [rows.matmul_plan((k, n)), columns.rmatmul_plan((n, k)), vector.rmatmul_plan((n, k))]
    server = serve(client, *plans, *clear)
    x, y = load(server, client, a, left), load(server, client, b, right)
    v = load(server, client, a[0], vector)
    check(client, x @ y, a @ b, plans[0].level_out)
    check(client, x @ v, a @ a[0], plans[1].level_out)
    check(client, v @ y, a[0] @ b, plans[2].level_out)
    check(client, load(server, client, a, rows) @ b, a @ b, clear[0].level_out)
    check(client, w @ load(server, client, b, columns), w @ b, clear[1].level_out)
    check(client, w @ v, w @ a[0], clear[2].level_out)


def test_broadcasts_reshapes_and_copies(params: rl.Params, client: rl.Client, rng: Rng) -> None:
    a, b = rng.uniform(-1, 1, (5, 3)), rng.uniform(-1, 1, 3)
    matrix, vector = rl.ArrayPacking(params, (5, 3)), rl.ArrayPacking(params, 3)
    copies = rl.ArrayPacking(params, 3, "replicated")
    plan, sums = vector.convert_plan(copies), matrix.sum_plan(1, keepdims=True)
    server = serve(client, plan, sums, matrix.mul_plan())
    x, y = load(server, client, a, matrix), load(server, client, b, vector)
    with pytest.raises(rl.errors.PackingError) as refused:
        x + y
    assert "to_packing" in refused.value.__notes__[0]
    spread = y.to_packing("replicated")
    check(client, spread + x.align_to(plan.level_out), a + b, plan.level_out)
    total = x.sum(1, keepdims=True)
    centred = a - a.sum(1, keepdims=True)
    check(client, x.align_to(total.level) - total, centred, sums.level_out)
    check(client, y.reshape(1, -1), b.reshape(1, -1), 4)
    check(client, y.reshape((3, 1)), b.reshape(3, 1), 4)
    assert vector.reshape((3, 1)).shape == (3, 1)
    with pytest.raises(rl.errors.ShapeError):
        y.reshape(2, -1)
    with pytest.raises(rl.errors.PackingError):
        x.reshape(15)
    batch = rl.ArrayPacking.feature_major(params, (40, 3))
    assert (batch.ciphertexts, batch.width, batch.lanes) == (6, 1, SLOTS)
    samples = rng.uniform(-1, 1, (40, 3))
    check(client, load(server, client, samples, batch) * 2, 2 * samples, 3)
    diagonals = load(server, client, a, "diagonals")
    check(client, diagonals.T, a.T, 4)
    check(client, diagonals.T.T + diagonals, 2 * a, 4)


def test_packings(params: rl.Params) -> None:
    packing = rl.ArrayPacking(params, (5, 40), width=16)
    assert (packing.lines, packing.size, packing.lanes, packing.ciphertexts) == ("rows", 200, 2, 9)
    assert (packing.T.shape, packing.T.lines, packing.T.T) == ((40, 5), "columns", packing)
    wide = rl.ArrayPacking(params, (5, 3), width=16, period=8)
    for one in (packing, packing.T, wide, rl.ArrayPacking(params, 3, "replicated")):
        again = pickle.loads(pickle.dumps(one))
        assert (again, hash(again), repr(again)) == (one, hash(one), repr(one))
    assert wide != rl.ArrayPacking(params, (5, 3), width=16)
    for shape in ((), (0,), (2, 0), (2, 2, 2)):
        with pytest.raises(rl.errors.ShapeError):
            rl.ArrayPacking(params, shape)
    for how in ({"width": 3}, {"width": 64}, {"period": 2}, {"width": 16, "period": 12}):
        with pytest.raises(rl.errors.ShapeError):
            rl.ArrayPacking(params, (5, 3), **how)
    with pytest.raises(rl.errors.UnknownNameError, match="diagonals"):
        rl.ArrayPacking(params, (5, 3), "tiles")
    with pytest.raises(rl.errors.ShapeError, match="axis"):
        packing.sum_plan(2)
    with pytest.raises(rl.errors.LevelExhaustedError):
        packing.power_plan(9, level=3)


def test_refusals(params: rl.Params, client: rl.Client) -> None:
    a = np.ones((5, 3))
    packing = rl.ArrayPacking(params, a.shape)
    bare = serve(client)
    x = load(bare, client, a, packing)
    for refused, call in [
        (lambda: x[1:3], "slice_plan(numpy.s_[1:3, 0:3], level=4)"),
        (lambda: x.sum(1), "sum_plan(1, level=4)"),
        (lambda: x.to_packing("columns"), "convert_plan(ringloom.ArrayPacking("),
        (lambda: x * x, "mul_plan(level=4)"),
        (lambda: x**2, "power_plan(2, level=4)"),
        (lambda: rl.concatenate([x, x], 1), "concatenate_plan(["),
        (lambda: x @ np.ones((3, 2)), "matmul_plan((3, 2), level=4)"),
    ]:
        with pytest.raises(rl.errors.KeyMissingError) as missing:
            refused()
        note = missing.value.__notes__[0]
        assert call in note
        assert "ringloom.ArrayPacking(params, (5, 3), 'rows')" in note
    rows = client.encrypt_matrix(a)
    y = bare.load_matrix(rows)
    assert (y.packing, y.array_packing) == ("coefficients", None)
    for op in (lambda: y * x, lambda: y[0], lambda: y**2, lambda: y.reshape(-1)):
        with pytest.raises(rl.errors.ShapeError, match="slots"):
            op()
    with pytest.raises(rl.errors.LevelMismatchError):
        x + x.align_to(2)
    with pytest.raises(rl.errors.LevelMismatchError):
        rl.concatenate([x, x.align_to(2)])
    with pytest.raises(rl.errors.ShapeError, match="at least one array"):
        rl.concatenate([])
    with pytest.raises(rl.errors.ShapeError):
        x**0
    with pytest.raises(rl.errors.ShapeError):
        x + np.ones(4)
    with pytest.raises(rl.errors.ShapeError, match="as the packing says"):
        client.encrypt_matrix(a.T, packing=packing)
    with pytest.raises(rl.errors.ParamsMismatchError):
        client.encrypt_matrix(a, packing=rl.ArrayPacking(rl.Params.insecure_toy(1, 6), a.shape))
    with pytest.raises(TypeError, match="leave them out"):
        client.encrypt_matrix(a, packing="rows", factor=True)
    with pytest.raises(TypeError, match=r"ringloom\.ArrayPacking"):
        client.encrypt_matrix(a, packing=3)  # type: ignore[arg-type]
    for clear in (lambda: np.asarray(x), lambda: bool(x)):
        with pytest.raises(TypeError, match="decrypt_matrix"):
            clear()
    assert client.encrypt_matrix(a, packing="rows", level=1).level == 1
