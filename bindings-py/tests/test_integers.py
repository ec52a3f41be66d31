"""Encrypted integers against numpy, value for value. Toy parameters: insecure and quick."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import ringloom as rl


@pytest.fixture(scope="module")
def party() -> tuple[rl.IntClient, rl.IntSession]:
    params = rl.IntParams.insecure_toy(4)
    client = rl.IntClient(params, threads=1)
    return client, rl.IntSession(params, client.keygen(progress=False), device="cpu", threads=1)


def test_a_small_network(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    client, server = party
    x = np.array([0, 1, 3, 2], dtype=np.uint8)
    w = np.array([[1, -1, 1, 0], [0, 1, 0, -1], [1, 1, 0, 0]])
    b = np.array([-1, 0, -6])
    v = np.array([[2, -5, 3], [1, 1, 9]])
    enc = server.load(client.encrypt_int(x, bits=2))
    assert (enc.shape, enc.ndim, enc.size, enc.dtype, enc.range) == ((4,), 1, 4, np.int64, (0, 3))
    sums = w @ enc + b
    assert sums.range == (-9, 6)
    hidden = rl.relu(sums, progress=False)
    want = np.maximum(w @ x + b, 0)
    assert hidden.range == (0, 6)
    np.testing.assert_array_equal(client.decrypt_int(hidden.export()), want)
    scores = v @ rl.lut(sums, lambda s: max(s, 0), output_bits=8, progress=False)
    np.testing.assert_array_equal(client.decrypt_int(scores.export()), v @ want)


def test_rows(party: tuple[rl.IntClient, rl.IntSession], rng: np.random.Generator) -> None:
    client, server = party
    x = rng.integers(-1, 1, size=(3, 4), endpoint=True)
    w = rng.integers(-1, 1, size=(5, 4), endpoint=True)
    b = rng.integers(-2, 2, size=5)
    enc = server.load(client.encrypt_int(x, range=(-1, 1)))
    seen: list[tuple[int, int]] = []
    got = rl.lut(enc @ w.T + b, lambda s: s // 2, progress=lambda *step: seen.append(step))
    assert (got.shape, len(got), seen) == ((3, 5), 3, [(15, 15)])
    np.testing.assert_array_equal(client.decrypt_int(got.export()), (x @ w.T + b) // 2)


def test_arithmetic(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    client, server = party
    x, y = np.array([1, -2, 0]), np.array([1, 1, -1])
    a, b = (server.load(client.encrypt_int(v, range=(-2, 1))) for v in (x, y))
    for got, want in [
        (a + b, x + y),
        (a - b, x - y),
        (-a, -x),
        (3 * a, 3 * x),
        (a * -2, -2 * x),
        (a + 5, x + 5),
        (5 - a, 5 - x),
        (a - y, x - y),
        (y + a, y + x),
    ]:
        np.testing.assert_array_equal(client.decrypt_int(got.export()), want)


def test_largest(party: tuple[rl.IntClient, rl.IntSession], rng: np.random.Generator) -> None:
    client, server = party
    x = rng.integers(-3, 3, size=(3, 5), endpoint=True)
    x[1] = 2
    enc = server.load(client.encrypt_int(x, range=(-3, 3)))
    for axis in (0, 1, -1, None):
        got = enc.max(axis, progress=False), enc.argmax(axis, progress=False)
        for have, want in zip(got, (x.max(axis), x.argmax(axis)), strict=True):
            have_clear = client.decrypt_int(have.export())
            np.testing.assert_array_equal(have_clear, np.atleast_1d(want))
        assert got[0].range == (-3, 3)
    seen: list[tuple[int, int]] = []
    enc.max(1, progress=lambda *step: seen.append(step))
    assert seen[-1] == (12, 12)
    with pytest.raises(rl.errors.ShapeError):
        enc.max(2)
    wide = server.load(client.encrypt_int(x, range=(-4, 4)))
    with pytest.raises(rl.errors.MessageRangeError):
        wide.argmax(1)


def test_several_tables(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    client, server = party
    x = np.arange(-4, 4)
    enc = server.load(client.encrypt_int(x, range=(-4, 3)))
    low, sign = rl.luts(enc, [lambda v: min(v, 0), lambda v: int(v > 0)])
    np.testing.assert_array_equal(client.decrypt_int(low.export()), np.minimum(x, 0))
    np.testing.assert_array_equal(client.decrypt_int(sign.export()), x > 0)
    with pytest.raises(rl.errors.ShapeError):
        rl.luts(enc, [])


def test_integers_of_8_bits(party: tuple[rl.IntClient, rl.IntSession], tmp_path: Path) -> None:
    client, server = party
    x, y = (np.array(v, dtype=np.uint8) for v in ([0, 255, 77, 16], [1, 3, 200, 15]))
    packing = client.packing_key()
    packing.save(tmp_path / "packing.rlk")
    packing = rl.IntPackingKey.load(tmp_path / "packing.rlk")
    assert pickle.loads(pickle.dumps(packing)).to_bytes() == packing.to_bytes()
    assert (packing.key_id, packing.params_id) == (client.key_id, client.params.id)
    keys = client.keygen(progress=False)
    both = rl.IntSession(client.params, keys, packing=packing, device="cpu", threads=1)
    a, b = (both.load(client.encrypt_uint8(v)) for v in (x, y))
    assert (a.shape, a.range) == ((4, 2), (0, 15))
    got = rl.lut8(a, lambda v: v * 7 % 251, progress=False)
    want = np.array([int(v) * 7 % 251 for v in x], dtype=np.uint8)
    np.testing.assert_array_equal(client.decrypt_uint8(got.export()), want)
    total, carry = rl.add8(got, b)
    np.testing.assert_array_equal(client.decrypt_uint8(total.export()), want + y)
    over = want.astype(int) + y > 255
    np.testing.assert_array_equal(client.decrypt_int(carry.export()), over)
    with pytest.raises(rl.errors.KeyMissingError, match="packing"):
        rl.lut8(server.load(client.encrypt_uint8(x)), lambda v: v)
    with pytest.raises(OverflowError):
        rl.lut8(a, lambda v: v + 1)
    with pytest.raises(rl.errors.MessageRangeError):
        client.encrypt_uint8([256])
    for call in (
        lambda: client.encrypt_uint8(x.reshape(2, 2)),
        lambda: client.decrypt_uint8(client.encrypt_int([1, 2])),
        lambda: rl.lut8(both.load(client.encrypt_int([1, 2])), lambda v: v),
        lambda: rl.add8(a, both.load(client.encrypt_uint8([1]))),
    ):
        with pytest.raises(rl.errors.ShapeError):
            call()
    three = rl.IntClient(rl.IntParams.insecure_toy(3), threads=1)
    with pytest.raises(rl.errors.ParameterError):
        three.encrypt_uint8(x)
    with pytest.raises(rl.errors.KeyMismatchError):
        rl.IntSession(
            client.params,
            keys,
            packing=rl.IntClient(client.params, threads=1).packing_key(),
            device="cpu",
        )


def test_ranges_of_types(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    client, server = party
    for x, bits, want in [
        (np.array([1], dtype=np.uint16), None, (0, 15)),
        (np.array([True]), 1, (0, 1)),
        ([1], None, (-8, 7)),
        ([1], 2, (-2, 1)),
    ]:
        assert server.load(client.encrypt_int(x, bits)).range == want


def test_bytes(party: tuple[rl.IntClient, rl.IntSession], tmp_path: Path) -> None:
    client, server = party
    ct = client.encrypt_int(np.arange(6).reshape(2, 3))
    # A seed, and 8 bytes for each value.
    assert ct.nbytes < 300
    again = pickle.loads(pickle.dumps(ct))
    assert (again.shape, again.dtype, again.key_id) == ((2, 3), np.int64, client.key_id)
    np.testing.assert_array_equal(client.decrypt_int(again), np.arange(6).reshape(2, 3))
    ct.save(tmp_path / "x.rlc")
    loaded = rl.IntCiphertext.load(tmp_path / "x.rlc")
    assert loaded.to_bytes() == ct.to_bytes()
    for damaged in (ct.to_bytes()[:-1], ct.to_bytes()[:20], b"", b"RLTENSOR" + ct.to_bytes()[8:]):
        with pytest.raises(rl.errors.SerializationError):
            rl.IntCiphertext.from_bytes(damaged)
    flipped = bytearray(ct.to_bytes())
    flipped[-1] ^= 1
    with pytest.raises(rl.errors.SerializationError):
        server.load(rl.IntCiphertext.from_bytes(bytes(flipped)))
    # The shape is not under the checksum: one that does not fit is refused.
    reshaped = bytearray(ct.to_bytes())
    reshaped[16] = 1
    with pytest.raises(rl.errors.SerializationError):
        client.decrypt_int(rl.IntCiphertext.from_bytes(bytes(reshaped)))
    keys = client.keygen(progress=False)
    assert keys.nbytes == client.params.key_bytes
    assert pickle.loads(pickle.dumps(keys)).to_bytes() == keys.to_bytes()
    with pytest.raises(rl.errors.SerializationError):
        rl.IntKeys.from_bytes(ct.to_bytes())


def test_params() -> None:
    params = rl.IntParams(4)
    assert (params.name, params.bits, params.log2_failure) == ("p4", 4, -128)
    assert params.key_bytes < 32e6
    grouped = rl.IntParams(4, group=3)
    assert (grouped.name, grouped.group, params.group) == ("p4-g3", 3, 1)
    assert pickle.loads(pickle.dumps(grouped)) == grouped != params
    assert "p4-norm16" in rl.IntParams.names()
    assert params == rl.IntParams.named("p4") != rl.IntParams(4, log2_failure=-64)
    for one in (params, rl.IntParams.insecure_toy(3)):
        assert pickle.loads(pickle.dumps(one)) == one
        assert hash(one) == hash(pickle.loads(pickle.dumps(one)))
    with pytest.raises(rl.errors.ParameterError):
        rl.IntParams(7)
    with pytest.raises(rl.errors.ParameterError):
        rl.IntParams(4, log2_failure=-40)
    with pytest.raises(rl.errors.UnknownNameError):
        rl.IntParams.named("p9")


def test_refusals(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    client, server = party
    x = server.load(client.encrypt_int([1, 2], range=(0, 3)))
    for call in (
        lambda: client.encrypt_int([9]),
        lambda: client.encrypt_int([0], bits=5),
        lambda: client.encrypt_int([0], bits=0),
        lambda: np.full((1, 2), 9) @ x,
        lambda: x * 6,
        lambda: rl.lut(x, lambda v: 9 * v),
    ):
        with pytest.raises(rl.errors.MessageRangeError):
            call()
    for call in (
        lambda: np.ones((1, 3), dtype=int) @ x,
        lambda: x + np.arange(3),
        lambda: client.encrypt_int(3),
        lambda: client.encrypt_int(np.zeros((0,), dtype=int)),
    ):
        with pytest.raises(rl.errors.ShapeError):
            call()
    for call in (
        lambda: client.encrypt_int([0.5]),
        lambda: x + 0.5,
        lambda: x * x,
        lambda: x @ x,
        lambda: bool(x),
        lambda: rl.lut(x, lambda v: v / 2),
        lambda: pickle.dumps(client),
        lambda: pickle.dumps(server),
        lambda: pickle.dumps(x),
        lambda: client.encrypt_int([1], 2, range=(0, 1)),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ZeroDivisionError):
        rl.lut(x, lambda v: 1 // v)
    stranger = rl.IntClient(client.params, threads=1)
    with pytest.raises(rl.errors.KeyMismatchError):
        server.load(stranger.encrypt_int([1]))
    other = rl.IntClient(rl.IntParams.insecure_toy(3), threads=1)
    with pytest.raises(rl.errors.ParamsMismatchError):
        server.load(other.encrypt_int([1]))

    def stop(done: int, total: int) -> None:
        raise KeyError(done)

    with pytest.raises(KeyError):
        rl.relu(x, progress=stop)


def test_reprs_tell_no_secret(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    client, server = party
    ct = client.encrypt_int([3, -3])
    key = client.key_id[:12]
    assert repr(client) == f"IntClient(key={key}, params=insecure toy, device='cpu')"
    assert repr(server) == f"IntSession(device='cpu', params=insecure toy, key={key})"
    assert repr(ct).startswith(f"IntCiphertext(shape=(2,), dtype=int64, key={key}, ")
    assert "range=(-8, 7)" in repr(server.load(ct))
    assert repr(rl.IntParams(2)) == "IntParams('p2', bits=2, log2_failure=-128)"
    assert repr(client.keygen(progress=False)).startswith(f"IntKeys(key={key}, params=")
