"""Bad input reaches its own exception class, with a message that says what to do."""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import ringloom as rl
from ringloom import errors

MESSAGE = re.compile(r"^[\w.: ]+: .+, expected .+, got .+; .+$", re.DOTALL)


def classes() -> dict[str, type[Exception]]:
    """Those that are raised: a warning is an exception, too."""
    values = {n: c for n, c in vars(errors).items() if isinstance(c, type)}
    raised = {n: c for n, c in values.items() if issubclass(c, Exception)}
    return {n: c for n, c in raised.items() if not issubclass(c, Warning)}


def raises(kind: type[Exception], call: object) -> Exception:
    """Exactly this class, with a message of the usual form."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert MESSAGE.match(str(caught.value)), str(caught.value)
    return caught.value


def test_every_variant_has_a_class() -> None:
    source = Path(__file__).parents[1] / "src/errors.rs"
    named = set(re.findall(r'=> "(\w+Error)"', source.read_text(encoding="utf-8")))
    made_elsewhere = {"LevelError", "RingOperandError", "ActivationError"}
    assert named == set(classes()) - made_elsewhere


def test_classes() -> None:
    for name, kind in classes().items():
        assert issubclass(kind, rl.RingloomError), name
        error = kind("what: it is")
        assert str(error) == "what: it is", name
        assert type(pickle.loads(pickle.dumps(error))) is kind
        assert kind.__doc__
    assert issubclass(errors.KeyMissingError, KeyError)
    assert issubclass(errors.ShapeError, ValueError)
    assert issubclass(errors.DeviceMemoryError, MemoryError)
    assert issubclass(errors.UnknownDeviceError, OSError)


# The list of bad input.


def test_too_few_levels(client: rl.Client, server: rl.Session, network: rl.Sequential) -> None:
    x = server.load(client.encrypt([0.5], level=1)) * 2.0
    raises(errors.LevelExhaustedError, lambda: x * 2.0)
    raises(errors.LevelExhaustedError, lambda: x * x)
    raises(errors.LevelExhaustedError, lambda: np.ones((1, 1)) @ x)
    raises(errors.LevelExhaustedError, lambda: client.encrypt([0.5], level=4))
    calibration = np.ones((2, 16))
    too_few = rl.Params.insecure_toy(2)
    raises(errors.LevelExhaustedError, lambda: network.compile(calibration, params=too_few))


def test_shapes(client: rl.Client, server: rl.Session) -> None:
    x = server.load(client.encrypt(np.zeros(16)))
    rows = server.load(client.encrypt(np.zeros((3, 16))))
    calls = [
        lambda: np.zeros((8, 15)) @ x,
        lambda: np.zeros(16) @ x,
        lambda: x @ np.zeros((15, 8)),
        lambda: np.zeros((8, 16)) @ rows,
        lambda: x + np.zeros(15),
        lambda: x + np.zeros((1, 16)),
        lambda: rows + np.zeros((2, 16)),
        lambda: x + rows,
        lambda: x + server.load(client.encrypt(np.zeros(16), widest=16)),
        lambda: client.encrypt(np.zeros((2, 2, 2))),
        lambda: client.encrypt(np.zeros(0)),
        lambda: client.encrypt(np.zeros((0, 3))),
        lambda: client.encrypt(np.zeros(8), widest=4),
        lambda: rl.Linear(np.zeros((3, 4)), np.zeros(4)),
        lambda: rl.Sequential([]),
        lambda: rl.Sequential([rl.Linear(np.ones((3, 4))), rl.Linear(np.ones((3, 4)))]),
        lambda: rl.Activation("tanh", degree=0),
    ]
    for call in calls:
        raises(errors.ShapeError, call)


def test_missing_keys(client: rl.Client, server: rl.Session, params: rl.Params) -> None:
    x = server.load(client.encrypt(np.zeros(12)))
    error = raises(errors.KeyMissingError, lambda: np.ones((12, 12)) @ x)
    assert "matvec_plan(params, (12, 12), level=3)" in error.__notes__[0]
    assert not str(error).startswith("'")  # KeyError would quote
    bare = rl.Session(params, client.keygen(rl.KeyRequest()), threads=1)
    y = bare.load(client.encrypt([1.0]))
    raises(errors.KeyMissingError, lambda: y * y)


def test_operations_have_the_names_of_python(client: rl.Client, params: rl.Params) -> None:
    # One ciphertext for each row, lanes of slots, and another shape.
    ones = np.ones((5, 3))
    keys = client.keygen(rl.KeyRequest(), progress=False)
    server = rl.Session(params, keys, device="cpu", threads=1)
    rows = server.load_matrix(client.encrypt_matrix(ones))
    columns = server.load_matrix(client.encrypt_matrix(ones, form="columns"))
    slots = server.load_matrix(client.encrypt_matrix(ones, packing="rows"))
    lower = server.load_matrix(client.encrypt_matrix(ones, level=1))
    wider = server.load_matrix(client.encrypt_matrix(np.ones((5, 4)), packing="rows"))
    turned = server.load_matrix(client.encrypt_matrix(ones, packing="columns"))
    square = server.load_matrix(client.encrypt_matrix(np.ones((3, 3)), packing="rows"))
    x, y = server.load(client.encrypt(np.zeros(16))), server.load(client.encrypt([0.5], level=0))
    mixed = "(5, 3) in coefficients and (5, 3) in slots"
    calls = [
        (lambda: rows + slots, "MatrixTensor.__add__", mixed),
        (lambda: rows - slots, "MatrixTensor.__sub__", mixed),
        (lambda: rows + columns, "MatrixTensor.__add__", "(5, 3) in row form"),
        (lambda: rows + lower, "MatrixTensor.__add__", ""),
        (lambda: rows * 1e300, "MatrixTensor.__mul__", ""),
        (lambda: lower * 0.5 * 0.5, "MatrixTensor.__mul__", ""),
        (lambda: rows + np.ones((2, 3)), "MatrixTensor.__add__", "(2, 3)"),
        (lambda: slots + wider, "MatrixTensor.__add__", "(5, 4)"),
        (lambda: slots + turned, "MatrixTensor.__add__", "ArrayPacking.convert_plan"),
        (lambda: slots @ square, "MatrixTensor.__matmul__", ""),
        (lambda: np.ones((2, 4)) @ rows, "MatrixTensor.__rmatmul__", "(2, 4)"),
        (lambda: rows @ slots, "MatrixTensor.__matmul__", "a matrix of shape (5, 3)"),
        (lambda: rows.T @ slots, "MatrixTensor.__matmul__", "shape (5, 3) by rows"),
        (lambda: rows.sum(1, keepdims=True), "MatrixTensor.sum", ""),
        (lambda: rows.to_form("columns"), "MatrixTensor.to_form", ""),
        (lambda: slots.align_to(9), "MatrixTensor.align_to", ""),
        (lambda: x.align_to(9), "Tensor.align_to", ""),
        (lambda: x + y, "Tensor.__add__", "(16,)"),
        (lambda: y * 0.5, "Tensor.__mul__", ""),
        (lambda: client.encrypt_matrix(ones * math.nan), "Client.encrypt_matrix", ""),
        (lambda: rl.matmul_plan(params, (5, 0, 3)), "matmul_plan", "(5, 0) @ (0, 3)"),
        (lambda: rl.tiled_matmul_plan(params, (5, 0, 3)), "tiled_matmul_plan", "(5, 0) @ (0, 3)"),
        (lambda: rl.transpose_plan(params, (5, 3), level=9), "transpose_plan", ""),
        (lambda: rl.Params.preset("huge"), "Params.preset", ""),
        (lambda: rl.Ciphertext.from_bytes(b""), "Ciphertext.from_bytes", ""),
    ]
    for call, op, text in calls:
        with pytest.raises(rl.RingloomError) as caught:
            call()
        message = str(caught.value)
        assert message.startswith(f"{op}: "), message
        assert text in message
        assert MESSAGE.match(message), message
        assert "::" not in message
        assert not re.search(r"\d x \d", message), message


def test_another_key(client: rl.Client, server: rl.Session, params: rl.Params) -> None:
    other = rl.Client(params, threads=1)
    foreign = other.encrypt([1.0])
    raises(errors.KeyMismatchError, lambda: server.load(foreign))
    raises(errors.KeyMismatchError, lambda: client.decrypt(foreign))
    mine = server.load(client.encrypt([1.0]))
    theirs = rl.Session(params, other.keygen(rl.KeyRequest()), threads=1).load(foreign)
    raises(errors.KeyMismatchError, lambda: mine + theirs)


def test_other_parameters(client: rl.Client, server: rl.Session, program: rl.Program) -> None:
    others = rl.Params.insecure_toy(2)
    keys = client.keygen(rl.KeyRequest())
    raises(errors.ParamsMismatchError, lambda: rl.Session(others, keys, threads=1))
    raises(errors.ParamsMismatchError, lambda: rl.ModelServer(program, keys, threads=1))
    raises(errors.ParamsMismatchError, lambda: client.encrypt_for(program.public, np.zeros(16)))
    stranger = rl.Client(others, threads=1)
    with pytest.raises((errors.ParamsMismatchError, errors.KeyMismatchError)):
        client.decrypt(stranger.encrypt([1.0]))


def test_values(client: rl.Client, server: rl.Session) -> None:
    for bad in (math.nan, math.inf, -math.inf):
        raises(errors.NotFiniteError, lambda bad=bad: client.encrypt([0.0, bad]))
    error = raises(errors.ValueRangeError, lambda: client.encrypt([0.0, 1e300]))
    assert "value 1" in str(error)
    x = server.load(client.encrypt([1.0, 2.0]))
    raises(errors.NotFiniteError, lambda: x * math.nan)
    raises(errors.NotFiniteError, lambda: x + np.array([1.0, math.inf]))
    raises(errors.NotFiniteError, lambda: x / 0.0)
    raises(errors.NotFiniteError, lambda: np.array([[math.nan, 1.0]]) @ x)
    raises(errors.NotFiniteError, lambda: rl.Linear([[math.nan]]))
    raises(errors.ValueRangeError, lambda: x + 1e300)
    for bad in (np.array([1j]), ["a"], None, [None], object()):
        with pytest.raises(TypeError, match=r"not real numbers, expected .+, got .+; "):
            client.encrypt(bad)


def test_insecure_parameters() -> None:
    def narrow() -> rl.Params:
        return rl.Params.from_bits(log_n=12, chain=[50, 40, 40], special=[50], log_scale=40)

    error = raises(errors.SecurityError, narrow)
    assert "128 bits" in str(error)
    raises(errors.ParameterError, lambda: rl.Params.for_depth(500))
    raises(
        errors.ParameterError,
        lambda: rl.Params.from_bits(log_n=3, chain=[30], special=[30], log_scale=20),
    )
    toy = rl.Params.insecure_toy(3)
    raises(errors.SecurityError, lambda: rl.Params.from_bytes(toy.to_bytes()))


def test_security_report() -> None:
    params = rl.Params.for_depth(6)
    report = params.security_report()
    assert report.claimed_bits >= 128
    assert report.margin_bits >= 0
    assert "2024/463" in report.model
    assert report.model in str(report)
    assert set(report.quantum) == {"LaaMosPol14", "ChaLoy21"}
    assert rl.Params.insecure_toy(3).security_report().claimed_bits == 0
    same = rl.Params.from_bits(log_n=14, chain=[50] + [40] * 8, special=[50], log_scale=40)
    assert same == rl.Params.preset("n14_k9")
    assert rl.Params.preset("n15_k14_2p").max_level == 6


def test_names(client: rl.Client, params: rl.Params) -> None:
    error = raises(errors.UnknownDeviceError, lambda: rl.Client(params, device="gpu"))
    assert "cpu-scalar" in str(error)
    keys = client.keygen(rl.KeyRequest())
    raises(errors.UnknownDeviceError, lambda: rl.Session(params, keys, device="abacus"))
    raises(errors.UnknownNameError, lambda: rl.Params.preset("huge"))
    raises(errors.UnknownNameError, lambda: rl.Activation("tanhh", degree=7))
    raises(errors.DeviceUnavailableError, lambda: rl.Client(params, threads=0))


def test_mixed_levels(client: rl.Client, server: rl.Session) -> None:
    x = server.load(client.encrypt([1.0, 2.0]))
    y = x * 2.0
    for call in (lambda: x + y, lambda: y - x, lambda: x * y):
        error = raises(errors.LevelMismatchError, call)
        assert "align_levels" in str(error)
    assert issubclass(errors.LevelMismatchError, errors.LevelError)


def damaged(data: bytes) -> list[bytes]:
    """One bit wrong, all over the bytes."""
    flipped = []
    for position in np.linspace(0, len(data) - 1, 40).astype(int):
        copy = bytearray(data)
        copy[position] ^= 0x10
        flipped.append(bytes(copy))
    return flipped


@pytest.mark.parametrize("kind", [rl.Ciphertext, rl.EvaluationKeys, rl.PublicKey])
def test_damaged_bytes(client: rl.Client, server: rl.Session, kind: type) -> None:
    good = {
        rl.Ciphertext: client.encrypt([1.0]).to_bytes(),
        rl.EvaluationKeys: client.keygen(rl.KeyRequest().with_rotation(1, 1)).to_bytes(),
        rl.PublicKey: client.public_key.to_bytes(),
    }
    # Bodies are read where their parameters are known.
    use = {
        rl.Ciphertext: server.load,
        rl.EvaluationKeys: lambda keys: rl.Session(client.params, keys, threads=1),
        rl.PublicKey: lambda key: rl.Encryptor(client.params, key, threads=1),
    }[kind]
    data = good.pop(kind)
    use(kind.from_bytes(data))
    ends = [b"", b"no such thing" * 100, data[:-1], data[: len(data) // 2], data + b"x"]
    for bad in ends + list(good.values()):
        raises(errors.SerializationError, lambda bad=bad: kind.from_bytes(bad))
    for bad in damaged(data):
        with pytest.raises(rl.RingloomError) as caught:
            use(kind.from_bytes(bad))
        assert MESSAGE.match(str(caught.value))


def test_damaged_descriptions() -> None:
    raises(errors.SerializationError, lambda: rl.Params.from_bytes(b"{}"))
    raises(errors.SerializationError, lambda: rl.KeyRequest.from_bytes(b"[]"))


def test_secrets_stay_on_the_host(params: rl.Params) -> None:
    for info in rl.devices():
        if not info.host_cpu:
            raises(
                errors.SecretOnDeviceError, lambda name=info.name: rl.Client(params, device=name)
            )
