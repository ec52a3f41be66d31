"""Networks of integers, with weights in the clear and encrypted."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import ringloom as rl

IMAGES = np.array([[1, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]])
W1 = np.array([[1, -1, 1, 0], [0, 1, 1, -1], [1, 1, 0, 1]])
B1 = np.array([0, 1, -1])
W2 = np.array([[3, -2, 1], [-4, 5, 2]])


def clip(v: int) -> int:
    return min(max(v, 0), 2)


def scores(x: np.ndarray) -> np.ndarray:
    return np.clip(x @ W1.T + B1, 0, 2) @ W2.T


@pytest.fixture(scope="module")
def party() -> tuple[rl.IntClient, rl.IntSession]:
    client = rl.IntClient(rl.IntParams.insecure_toy(4), threads=1)
    keys = client.keygen(progress=False)
    return client, rl.IntSession(client.params, keys, device="cpu", threads=1)


def network(client: rl.IntClient, output: str = "values") -> rl.IntNetwork:
    second = rl.IntLinear(W2 if output == "values" else W2.clip(-1, 1), activation=None)
    if output != "values":
        second = rl.IntLinear(W2.clip(-1, 1), activation=lambda v: min(max(v, -2), 3))
    layers = [rl.IntLinear(W1, B1, clip, name="hidden"), second]
    return rl.IntNetwork(layers, params=client.params, inputs=(0, 1), output=output)


def test_layers() -> None:
    layer = rl.IntLinear(W1, B1, clip, name="hidden")
    again = pickle.loads(pickle.dumps(layer))
    for one in (layer, again):
        assert (one.shape, one.name, one.activation) == ((3, 4), "hidden", clip)
        np.testing.assert_array_equal(one.weights, W1)
        np.testing.assert_array_equal(one.bias, B1)
        assert repr(one) == "IntLinear(4 -> 3, looked up)"
    bare = rl.IntLinear(W2.astype(np.int8))
    assert (bare.name, bare.activation, bare.bias.tolist()) == (None, None, [0, 0])
    for wrong in (lambda: rl.IntLinear(B1), lambda: rl.IntLinear(W1, W1)):
        with pytest.raises(rl.errors.ShapeError):
            wrong()
    for wrong in (lambda: rl.IntLinear(W1 / 2), lambda: rl.IntLinear(W1, B1, "relu")):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected"):
            wrong()


def test_compiled(party: tuple[rl.IntClient, rl.IntSession], tmp_path: Path) -> None:
    client, _ = party
    net = network(client)
    net.save(tmp_path / "net.rlp")
    for one in (
        net,
        pickle.loads(pickle.dumps(net)),
        rl.IntNetwork.from_bytes(net.to_bytes(), client.params),
        rl.IntNetwork.load(tmp_path / "net.rlp", client.params),
    ):
        assert (one.params, one.inputs, one.output) == (client.params, (0, 1), "values")
        assert (one.widths, one.look_ups, one.nbytes) == ((4, 2), 3, net.nbytes)
        assert one.log2_failure < -60
        np.testing.assert_array_equal(one.clear(IMAGES), scores(IMAGES))
        np.testing.assert_array_equal(one.clear(IMAGES[0]), scores(IMAGES[0]))
        assert one.to_bytes() == net.to_bytes()
    with pytest.raises(rl.errors.SerializationError):
        rl.IntNetwork.from_bytes(net.to_bytes()[:-1], client.params)
    with pytest.raises(rl.errors.ParamsMismatchError):
        rl.IntNetwork.from_bytes(net.to_bytes(), rl.IntParams.insecure_toy(3))


@pytest.mark.parametrize("output", ["values", "max", "argmax"])
def test_encrypted(party: tuple[rl.IntClient, rl.IntSession], output: str) -> None:
    client, server = party
    net = network(client, output)
    hidden = client.encrypt_network(net)
    assert pickle.loads(pickle.dumps(hidden)).to_bytes() == hidden.to_bytes()
    assert (hidden.key_id, hidden.params_id) == (client.key_id, client.params.id)
    for what in (net, rl.EncryptedIntNetwork.from_bytes(hidden.to_bytes())):
        model = rl.IntModel(server, what)
        assert model.encrypted_weights == (what is not net)
        assert (model.params, model.device, model.key_id) == (
            client.params,
            server.device,
            client.key_id,
        )
        for x in (IMAGES, IMAGES[1]):
            inputs = client.encrypt_inputs(what, x)
            assert inputs.shape == x.shape
            inputs = pickle.loads(pickle.dumps(inputs))
            got = client.decrypt_int(model.run(inputs, progress=False))
            np.testing.assert_array_equal(got, net.clear(x))
    tensor = server.load(client.encrypt_inputs(net, IMAGES))
    seen: list[tuple[int, int]] = []
    got = rl.IntModel(server, net)(tensor, progress=lambda *step: seen.append(step))
    np.testing.assert_array_equal(client.decrypt_int(got.export()), net.clear(IMAGES))
    assert (9, 9) in seen or (15, 15) in seen


def test_what_a_function_raises(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    def broken(v: int) -> int:
        if v > 1:
            raise LookupError(f"no {v}")
        return 0

    with pytest.raises(LookupError, match="no 2"):
        rl.IntNetwork([rl.IntLinear(W1, B1, broken)], params=party[0].params)
    with pytest.raises(TypeError):
        rl.IntNetwork([rl.IntLinear(W1, B1, lambda _: 0.5)], params=party[0].params)  # type: ignore[arg-type, return-value]


def test_bad_input(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    client, server = party
    net = network(client)
    wide = [rl.IntLinear(9 * W1, name="wide"), rl.IntLinear(W2)]
    with pytest.raises(rl.errors.MessageRangeError, match="layer wide"):
        rl.IntNetwork(wide, params=client.params)
    with pytest.raises(rl.errors.ShapeError, match="layer 1"):
        rl.IntNetwork([rl.IntLinear(W1), rl.IntLinear(W1)], params=client.params)
    with pytest.raises(rl.errors.ShapeError):
        rl.IntNetwork([], params=client.params)
    with pytest.raises(rl.errors.UnknownNameError, match="argmax"):
        network(client, "least")
    with pytest.raises(rl.errors.MessageRangeError):
        client.encrypt_inputs(net, 2 * IMAGES)
    hidden = client.encrypt_network(net)
    model, secret = rl.IntModel(server, net), rl.IntModel(server, hidden)
    for call in (
        lambda: net.clear(IMAGES[:, :3]),
        lambda: client.encrypt_inputs(net, IMAGES[:, :3]),
        lambda: client.encrypt_inputs(hidden, IMAGES[:, :3]),
        lambda: model.run(client.encrypt_int([0, 1], range=(0, 1))),
        lambda: secret.run(client.encrypt_int([0, 1], range=(0, 1))),
    ):
        with pytest.raises(rl.errors.ShapeError):
            call()
    tensor = server.load(client.encrypt_inputs(net, IMAGES))
    for call in (
        lambda: secret.run(tensor),
        lambda: model.run(IMAGES),  # type: ignore[call-overload]
        lambda: rl.IntModel(server, IMAGES),  # type: ignore[arg-type]
        lambda: client.encrypt_inputs(IMAGES, IMAGES),  # type: ignore[arg-type]
        lambda: pickle.dumps(model),
    ):
        with pytest.raises(TypeError, match="expected"):
            call()
    # Packed inputs are for encrypted weights, the others are not.
    with pytest.raises(rl.errors.SerializationError):
        model.run(client.encrypt_inputs(hidden, IMAGES))
    with pytest.raises(rl.errors.SerializationError):
        secret.run(client.encrypt_inputs(net, IMAGES))
    stranger = rl.IntClient(client.params, threads=1)
    with pytest.raises(rl.errors.KeyMismatchError):
        rl.IntModel(server, stranger.encrypt_network(net))
    with pytest.raises(rl.errors.KeyMismatchError):
        model.run(stranger.encrypt_inputs(net, IMAGES))
    with pytest.raises(rl.errors.KeyMismatchError):
        secret.run(stranger.encrypt_inputs(hidden, IMAGES))
    other = rl.IntClient(rl.IntParams.insecure_toy(3), threads=1)
    elsewhere = rl.IntSession(other.params, other.keygen(progress=False), device="cpu", threads=1)
    with pytest.raises(rl.errors.ParamsMismatchError):
        rl.IntModel(elsewhere, net)


def test_long_batches_show_progress(party: tuple[rl.IntClient, rl.IntSession]) -> None:
    client, server = party
    x = np.arange(70) % 8
    enc = server.load(client.encrypt_int(x, range=(0, 7)))
    seen: list[tuple[int, int]] = []
    half, top = rl.luts(
        enc, [lambda v: v // 2, lambda v: v // 4], progress=lambda *step: seen.append(step)
    )
    assert seen == [(64, 70), (70, 70)]
    np.testing.assert_array_equal(client.decrypt_int(half.export()), x // 2)
    np.testing.assert_array_equal(client.decrypt_int(top.export()), x // 4)
    seen.clear()
    a = server.load(client.encrypt_uint8(np.arange(65, dtype=np.uint8) * 3))
    total, carry = rl.add8(a, a, progress=lambda *step: seen.append(step))
    assert seen == [(64, 65), (65, 65)]
    twice = 6 * np.arange(65)
    np.testing.assert_array_equal(client.decrypt_uint8(total.export()), twice % 256)
    np.testing.assert_array_equal(client.decrypt_int(carry.export()), twice > 255)

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rl.luts(enc, [lambda v: v], progress=stop)
