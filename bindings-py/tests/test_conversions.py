"""Encrypted matrices from one packing to another, against numpy."""

from __future__ import annotations

import functools
import operator
import pickle
from collections.abc import Iterable

import numpy as np
import pytest

import ringloom as rl


@pytest.fixture(scope="module")
def client() -> rl.Client:
    return rl.Client(rl.Params.insecure_toy(4, 6))


def serve(client: rl.Client, plans: Iterable[rl.ConversionPlan | rl.TiledMatMulPlan]) -> rl.Session:
    request = functools.reduce(operator.or_, (plan.key_request for plan in plans))
    return rl.Session(client.params, client.keygen(request, progress=False))


def decrypted(client: rl.Client, x: rl.MatrixTensor) -> np.ndarray:
    return client.decrypt_matrix(x.export())


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 32), (3, 64), (2, 70), (33, 2)])
@pytest.mark.parametrize("form", ["rows", "columns"])
def test_slots_to_coefficients_and_back(
    client: rl.Client, rng: np.random.Generator, shape: tuple[int, int], form: str
) -> None:
    params, x = client.params, rng.uniform(-1, 1, shape)
    into = rl.slots_to_coeffs_plan(params, shape, form=form, log_scale=36)
    out = rl.coeffs_to_slots_plan(params, shape, form=form, level=3, log_scale=36)
    server = serve(client, [into, out])
    assert into.packing is not None
    assert out.packing is None
    packing = pickle.loads(pickle.dumps(into.packing))
    assert (packing.shape, packing.level, packing.plan) == (shape, 4, "slots")
    slots = server.load_matrix(client.encrypt_matrix(x, packing=packing))
    coeffs = slots.convert(into)
    assert (coeffs.packing, coeffs.form, coeffs.level) == ("coefficients", form, 3)
    np.testing.assert_allclose(decrypted(client, coeffs), x, atol=1e-4)
    again = server.load_conversion(pickle.loads(pickle.dumps(out)))(coeffs)
    assert (again.packing, again.level, again.shape) == ("slots", 2, shape)
    np.testing.assert_allclose(decrypted(client, again), x, atol=1e-4)
    # A transpose has the other form, and is what the plan of that form takes.
    turned = rl.coeffs_to_slots_plan(
        params, shape[::-1], form="columns" if form == "rows" else "rows", level=3, log_scale=36
    )
    assert turned.key_switches == out.key_switches
    np.testing.assert_allclose(decrypted(client, coeffs.T.convert(turned)), x.T, atol=1e-4)


def test_several_levels(client: rl.Client, rng: np.random.Generator) -> None:
    params, x = client.params, rng.uniform(-1, 1, (2, 64))
    one = rl.slots_to_coeffs_plan(params, x.shape, log_scale=36)
    two = rl.slots_to_coeffs_plan(params, x.shape, log_scale=36, levels=2)
    assert two.level_out == 2
    assert two.nbytes < one.nbytes
    back = rl.coeffs_to_slots_plan(params, x.shape, level=2, log_scale=36, levels=2)
    server = serve(client, [two, back])
    slots = server.load_matrix(client.encrypt_matrix(x, packing=two.packing))
    coeffs = slots.convert(two)
    assert one.places is not None
    assert two.places is not None
    assert (one.places == np.arange(64)).all()
    assert (two.places != np.arange(64)).any()
    np.testing.assert_allclose(decrypted(client, coeffs)[:, two.places], x, atol=1e-4)
    # Products from the other side do not notice the order.
    w = rng.uniform(-1, 1, (3, 2))
    again = coeffs.convert(back)
    assert again.level == 0
    np.testing.assert_allclose(decrypted(client, again), x, atol=1e-3)
    np.testing.assert_allclose(decrypted(client, w @ coeffs)[:, two.places], w @ x, atol=1e-4)


def test_slots_become_a_factor(client: rl.Client, rng: np.random.Generator) -> None:
    params, (a, b) = client.params, (rng.uniform(-1, 1, s) for s in [(4, 3), (3, 5)])
    into = rl.slots_to_coeffs_plan(params, (4, 3), form="columns", factor=True)
    product = rl.matmul_plan(params, (4, 3, 5), level=3)
    server = rl.Session(
        params, client.keygen(into.key_request | product.key_request, progress=False)
    )
    x = server.load_matrix(client.encrypt_matrix(a, packing=into.packing)).convert(into)
    y = x @ server.load_matrix(client.encrypt_matrix(b, level=3))
    np.testing.assert_allclose(decrypted(client, y), a @ b, atol=1e-4)


@pytest.mark.parametrize("spacing", [None, 1])
@pytest.mark.parametrize("form", ["rows", "columns"])
def test_columns_are_packed(
    client: rl.Client, rng: np.random.Generator, form: str, spacing: int | None
) -> None:
    params, x = client.params, rng.uniform(-1, 1, (5, 40))
    shape = x.shape if form == "rows" else x.T.shape
    one = rl.ring_pack_plan(params, shape, 7, form=form, level=1, spacing=spacing)
    two = rl.ring_pack_plan(params, shape, 7, form=form, level=1, width=2, spacing=spacing)
    assert (one.form_out, one.level_out) == ("columns" if form == "rows" else "rows", 1)
    server = serve(client, [one, two])
    given = x if form == "rows" else x.T
    tensor = server.load_matrix(client.encrypt_matrix(given, form=form, level=1))
    for plan, columns in [(one, [7]), (two, [7, 39])]:
        packed = tensor.convert(pickle.loads(pickle.dumps(plan)))
        assert (packed.shape, packed.form) == (plan.shape_out, plan.form_out)
        got, places = decrypted(client, packed).ravel(), plan.places
        assert places is not None
        assert places.shape == (5, len(columns))
        np.testing.assert_allclose(got[places], x[:, columns], atol=1e-6)
        np.testing.assert_allclose(np.delete(got, places), 0, atol=1e-6)
        assert spacing is None or (np.diff(places[:, 0]) == 1).all()
        back = rl.ring_unpack_plan(
            params, shape, 7, form=form, level=1, width=len(columns), spacing=spacing
        )
        assert (back.shape, back.shape_out) == (plan.shape_out, plan.shape)
        assert (back.form, back.form_out) == (plan.form_out, plan.form)
        assert (back.key_switches, back.level_out) == (plan.key_switches, 1)
        assert (back.places == places).all()
        # The keys are those of packing.
        unpacked = packed.convert(pickle.loads(pickle.dumps(back)))
        assert (unpacked.shape, unpacked.form, unpacked.level) == (shape, form, 1)
        want = np.zeros_like(x)
        want[:, columns] = x[:, columns]
        got = decrypted(client, unpacked)
        np.testing.assert_allclose(got if form == "rows" else got.T, want, atol=1e-6)
        assert repr(back).startswith("ConversionPlan(ring_unpack, shape=")
        with pytest.raises(rl.errors.ShapeError, match="MatrixConversion"):
            tensor.convert(back)


@pytest.mark.parametrize("factor", ["left", "right"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_products_in_tiles_chain(
    client: rl.Client, rng: np.random.Generator, factor: str, side: str
) -> None:
    params = client.params
    a, b = rng.uniform(-1, 1, (8, 5)), rng.uniform(-1, 1, (5, 8))
    framed = side == factor
    first = rl.tiled_matmul_plan(
        params, (8, 5, 8), tile=4, factor=factor, log_scale=36,
        framed_rows=framed, single_columns=framed,
    )  # fmt: skip
    shape = (3, 8, 8) if side == "right" else (8, 8, 3)
    then = rl.tiled_matmul_plan(
        params, shape, level=2, tile=4, factor=factor, log_scale=36, framed_rows=framed
    )
    move = rl.retile_plan(first, then, side=side)
    assert (move.shape, move.level, move.level_out, move.form) == ((8, 8), 3, 2, None)
    assert move.places is None
    server = serve(client, [first, then, pickle.loads(pickle.dumps(move))])
    again = pickle.loads(pickle.dumps(first))
    assert repr(again) == repr(first)
    u = server.load_matrix(client.encrypt_matrix(a, packing=again.left))
    v = server.load_matrix(client.encrypt_matrix(b, packing=first.right))
    moved = (u @ v).convert(move)
    if side == "right":
        c = rng.uniform(-1, 1, (3, 8))
        y = server.load_matrix(client.encrypt_matrix(c, packing=then.left)) @ moved
        want = c @ a @ b
    else:
        c = rng.uniform(-1, 1, (8, 3))
        y, want = (
            moved @ server.load_matrix(client.encrypt_matrix(c, packing=then.right)),
            a @ b @ c,
        )
    assert (y.packing, y.shape, y.level) == ("tiles", want.shape, 1)
    np.testing.assert_allclose(decrypted(client, y), want, atol=1e-3)
    if factor != side:
        return
    with pytest.raises(rl.errors.ShapeError):
        rl.retile_plan(first, then, side="left" if side == "right" else "right")


@pytest.mark.parametrize("factor", ["left", "right"])
@pytest.mark.parametrize("shape", [(3, 5, 4), (8, 2, 16), (9, 3, 40)])
def test_slots_to_tiles_and_back(
    client: rl.Client, rng: np.random.Generator, shape: tuple[int, int, int], factor: str
) -> None:
    params, (m, k, n) = client.params, shape
    a, b = rng.uniform(-1, 1, (m, k)), rng.uniform(-1, 1, (k, n))
    product = rl.tiled_matmul_plan(params, shape, level=3, tile=4, factor=factor, log_scale=38)
    left = rl.slots_to_tiles_plan(product, side="left")
    right = rl.slots_to_tiles_plan(product)
    back = rl.tiles_to_slots_plan(product)
    lines = ("columns", "rows")
    assert (left.form, right.form) == lines
    assert (left.form_out, back.form) == (None, None)
    assert back.form_out == ("rows" if factor == "left" else "columns")
    assert (left.shape, right.shape, back.shape) == ((m, k), (k, n), (m, n))
    assert [(p.level, p.level_out) for p in (left, right, back)] == [(4, 3), (4, 3), (2, 1)]
    assert min(p.nbytes for p in (left, right, back)) > 0
    assert left.places is None
    assert left.packing is not None
    assert right.packing is not None
    assert back.packing is None
    server = serve(client, [pickle.loads(pickle.dumps(p)) for p in (left, right, back, product)])
    x = server.load_matrix(client.encrypt_matrix(a, packing=left.packing))
    y = server.load_matrix(client.encrypt_matrix(b, packing=right.packing))
    tiles = x.convert(left) @ y.convert(right)
    assert (tiles.packing, tiles.level) == ("tiles", 2)
    np.testing.assert_allclose(decrypted(client, tiles), a @ b, atol=1e-4)
    z = tiles.convert(back)
    assert (z.packing, z.shape, z.level) == ("slots", (m, n), 1)
    np.testing.assert_allclose(decrypted(client, z), a @ b, atol=1e-4)
    name = f"ConversionPlan(slots_to_tiles, left side of ({m}, {k}, {n}), tile=4"
    assert repr(left).startswith(name)
    with pytest.raises(rl.errors.ShapeError, match="a matrix in slots"):
        tiles.convert(left)
    with pytest.raises(rl.errors.ShapeError, match="a product in tiles"):
        x.convert(back)
    framed = rl.tiled_matmul_plan(params, shape, level=3, tile=4, factor=factor, framed_rows=True)
    with pytest.raises(rl.errors.ShapeError, match="without framed rows"):
        rl.tiles_to_slots_plan(framed)


def test_refused(client: rl.Client) -> None:
    params, ones = client.params, np.ones((2, 3))
    into = rl.slots_to_coeffs_plan(params, (2, 3))
    out = rl.coeffs_to_slots_plan(params, (2, 3))
    pack = rl.ring_pack_plan(params, (2, 3), 1)
    server = serve(client, [into, out, pack])
    slots = server.load_matrix(client.encrypt_matrix(ones, packing=into.packing))
    coeffs = server.load_matrix(client.encrypt_matrix(ones))
    with pytest.raises(rl.errors.ShapeError, match="a matrix in slots"):
        coeffs.convert(into)
    for plan in (out, pack):
        with pytest.raises(rl.errors.ShapeError, match="a matrix in coefficients"):
            slots.convert(plan)
    with pytest.raises(rl.errors.ShapeError, match="row form"):
        server.load_matrix(client.encrypt_matrix(ones, form="columns")).convert(out)
    with pytest.raises(rl.errors.ShapeError, match="scale"):
        server.load_matrix(client.encrypt_matrix(ones, log_scale=20)).convert(out)
    with pytest.raises(rl.errors.LevelMismatchError):
        server.load_matrix(client.encrypt_matrix(ones, level=1)).convert(pack)
    with pytest.raises(rl.errors.ShapeError, match=r"shape \(2, 3\), the matrix of the plan"):
        client.encrypt_matrix(ones.T, packing=into.packing)
    with pytest.raises(rl.errors.ShapeError, match="below 64"):
        rl.ring_pack_plan(params, (2, 3), 3)
    with pytest.raises(rl.errors.LevelExhaustedError):
        rl.coeffs_to_slots_plan(params, (2, 3), level=0)
    bare = rl.Session(params, client.keygen(rl.KeyRequest(), progress=False))
    x = bare.load_matrix(client.encrypt_matrix(ones))
    with pytest.raises(rl.errors.KeyMissingError, match="coeffs_to_slots") as missing:
        x.convert(out)
    assert "client.keygen(plan.key_request)" in missing.value.__notes__[0]
    small = rl.Session(params, client.keygen(into.key_request, progress=False), memory=1)
    with pytest.raises(rl.errors.PlanMemoryError, match=f"a plan of {into.nbytes}"):
        small.load_conversion(into)
    with pytest.raises(rl.errors.ParamsMismatchError):
        server.load_conversion(rl.slots_to_coeffs_plan(rl.Params.insecure_toy(2, 6), (2, 3)))
    tiles = [rl.tiled_matmul_plan(params, (4, 4, 4), level=lv, tile=2) for lv in (4, 2, 3)]
    move = rl.retile_plan(tiles[0], tiles[1])
    with pytest.raises(rl.errors.LevelMismatchError):
        rl.retile_plan(tiles[0], tiles[2])
    with pytest.raises(rl.errors.ShapeError, match="factor on the left"):
        rl.retile_plan(tiles[0], rl.tiled_matmul_plan(params, (4, 4, 4), level=2, factor="right"))
    with pytest.raises(rl.errors.ShapeError, match="products in tiles"):
        serve(client, [move]).load_matrix(client.encrypt_matrix(ones)).convert(move)
    conversion = server.load_conversion(out)
    assert repr(conversion) == (
        "MatrixConversion(coeffs_to_slots, shape=(2, 3), level=4, level_out=3)"
    )
    assert repr(pack).startswith("ConversionPlan(ring_pack, shape=(2, 3), shape_out=(")
    with pytest.raises(TypeError, match="holds its session"):
        pickle.dumps(conversion)
