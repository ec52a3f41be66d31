"""Roles cannot be confused: operators, conversions, representations, pickling."""

from __future__ import annotations

import copy
import math
import operator
import pickle
from pathlib import Path

import numpy as np
import pytest

import ringloom as rl


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul]
)
def test_ciphertexts_have_no_operators(client: rl.Client, server: rl.Session, op: object) -> None:
    ct = client.encrypt([1.0, 2.0])
    tensor = server.load(ct)
    others = [ct, 1.0, np.ones(2), np.ones((2, 2)), tensor]
    for other in others:
        for pair in ((ct, other), (other, ct)):
            with pytest.raises(TypeError, match=r"session\.load\(ciphertext\)"):
                op(*pair)
    with pytest.raises(TypeError, match="bring it to a server session"):
        operator.neg(ct)


def test_nothing_decrypts_in_silence(client: rl.Client, server: rl.Session) -> None:
    ct = client.encrypt([1.0, 2.0])
    x = server.load(ct)
    for convert in (np.asarray, np.array, lambda v: np.asarray(v, dtype=float), np.sum):
        for value in (ct, x):
            with pytest.raises(TypeError):
                convert(value)
    for function in (np.tanh, np.exp, np.equal):
        with pytest.raises(TypeError, match="not there for encrypted values"):
            function(*[x] * function.nin)
    with pytest.raises(TypeError, match=r"numpy\.add"):
        np.add(x, 1.0, out=np.zeros(2))
    with pytest.raises(TypeError, match=r"numpy\.add"):
        np.add.reduce(x)
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(x)
    with pytest.raises(TypeError, match="no division by encrypted values"):
        x / x
    with pytest.raises(TypeError, match="no division by encrypted values"):
        1.0 / x
    with pytest.raises(TypeError, match="no division by encrypted values"):
        np.ones(2) / x
    with pytest.raises(TypeError, match=r"tensor\.export\(\)"):
        client.decrypt(x)


def test_server_types_cannot_decrypt() -> None:
    for kind in (
        rl.Session,
        rl.Tensor,
        rl.Weights,
        rl.ModelServer,
        rl.Program,
        rl.EvaluationKeys,
        rl.Ciphertext,
    ):
        names = [name for name in dir(kind) if "decrypt" in name or "secret" in name]
        assert names == []


def test_representations(client: rl.Client, server: rl.Session, tmp_path: Path) -> None:
    secret = tmp_path / "secret.key"
    client.save_secret(secret)
    key = secret.read_bytes()
    ct = client.encrypt(np.zeros((3, 16)))
    tensor = server.load(ct)
    assert "shape=(3, 16)" in repr(ct)
    assert "level=3" in repr(ct)
    assert "level=2" in repr(tensor * 2.0)
    assert "device='cpu'" in repr(tensor)
    for value in (client, server, ct, tensor, client.public_key, client.params):
        text = repr(value)
        assert text.startswith(type(value).__name__ + "(")
        assert len(text) < 200
        # The identity is public; no other long run of hexadecimal digits is shown.
        assert not any(key[i : i + 8].hex() in text for i in range(200, len(key) - 8, 8))
    assert client.key_id[:12] in repr(client)


def test_public_objects_pickle(
    client: rl.Client, params: rl.Params, server: rl.Session, rng: np.random.Generator
) -> None:
    request = rl.KeyRequest().with_rotation(3, 2).with_relinearisation(1)
    secure = rl.Params.preset("n13_k3")
    for value in (params, secure, request):
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(pickle.loads(pickle.dumps(value))) == hash(value)
    for single, widest in ((False, None), (True, None), (False, 16)):
        plan = rl.matvec_plan(params, (8, 16), level=2, widest=widest, single=single)
        again = pickle.loads(pickle.dumps(plan))
        assert (repr(again), again.key_request) == (repr(plan), plan.key_request)
    x = rng.uniform(-1, 1, size=(3, 16))
    ct = pickle.loads(pickle.dumps(client.encrypt(x)))
    assert ct.shape == x.shape
    np.testing.assert_allclose(client.decrypt(ct), x, atol=1e-6)
    keys = client.keygen(request)
    again = pickle.loads(pickle.dumps(keys))
    assert (again.key_id, again.params_id, again.nbytes) == (client.key_id, params.id, keys.nbytes)
    assert again.to_bytes() == keys.to_bytes()
    key = client.public_key
    public = pickle.loads(pickle.dumps(key))
    assert public.to_bytes() == key.to_bytes()
    assert (public.key_id, public.params_id) == (client.key_id, params.id)
    assert copy.copy(ct).to_bytes() == ct.to_bytes()


def test_networks_pickle(calibration: np.ndarray, rng: np.random.Generator) -> None:
    kernel = rng.uniform(-1, 1, size=(4, 1, 3, 3))
    mean, variance, gain = rng.uniform(0.1, 1, size=(3, 4))
    network = rl.Sequential(
        [
            rl.Conv2d(kernel, stride=2, padding=1, groups=2),
            rl.BatchNorm(mean, variance, gain),
            rl.Activation(math.sin, degree=3, range=(-2, 2), name="sine"),
            rl.AvgPool2d(2, stride=1),
            rl.Flatten(),
            rl.Linear(rng.uniform(-1, 1, size=(3, 36)), [1.0, 2.0, 3.0]),
            rl.Activation("tanh", degree=7),
        ],
        image=(2, 8, 8),
    )
    again = pickle.loads(pickle.dumps(network))
    assert (repr(again), again.image, again.widths) == (
        repr(network),
        network.image,
        network.widths,
    )
    assert again.layers[2].range == (-2, 2)
    np.testing.assert_array_equal(again.layers[0].weights, kernel)
    np.testing.assert_array_equal(again.layers[5].bias, [1, 2, 3])
    images = rng.uniform(-1, 1, size=(5, 2, 8, 8))
    np.testing.assert_array_equal(again(images), network(images))
    unnamed = rl.Sequential([rl.Linear(np.ones((1, 2))), rl.Activation(lambda x: x, degree=3)])
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(unnamed)  # a function without a name cannot travel


def test_reports_pickle(program: rl.Program, calibration: np.ndarray) -> None:
    public = program.public
    client = rl.Client.for_program(public, threads=1)
    model = rl.ModelServer(program, client.keygen(public.key_request), threads=1)
    steps = model.run(client.encrypt_for(public, calibration[0])).reports
    reports = [
        program.prediction,
        program.params.security_report(),
        *program.fits,
        *program.public.steps,
        *steps,
        *rl.devices(),
    ]
    assert len({type(report) for report in reports}) == 6
    for report in reports:
        again = pickle.loads(pickle.dumps(report))
        assert (again, repr(again)) == (report, repr(report))


def test_secrets_and_handles_do_not_pickle(
    client: rl.Client, server: rl.Session, program: rl.Program
) -> None:
    owner = rl.Client(program.params, threads=1)
    model = rl.ModelServer(program, owner.keygen(program.key_request), threads=1)
    tensor = server.load(client.encrypt([1.0]))
    encryptor = rl.Encryptor(client.params, client.public_key, threads=1)
    weights = server.load_weights(np.ones((8, 16)))
    for value in (client, server, tensor, weights, model, encryptor):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match=f"^{type(value).__name__}: holds"):
                pickle.dumps(value, protocol=protocol)
        with pytest.raises(TypeError):
            copy.deepcopy(value)


def test_files(client: rl.Client, params: rl.Params, server: rl.Session, tmp_path: Path) -> None:
    x = np.array([0.5, -1.0, 0.25])
    client.encrypt(x).save(tmp_path / "x.rlc")
    np.testing.assert_allclose(client.decrypt(rl.Ciphertext.load(tmp_path / "x.rlc")), x, atol=1e-6)
    keys = client.keygen(rl.KeyRequest().with_rotation(1, 1))
    keys.save(tmp_path / "k.rlk")
    assert rl.EvaluationKeys.load(tmp_path / "k.rlk").to_bytes() == keys.to_bytes()
    client.public_key.save(str(tmp_path / "p.rlk"))
    assert rl.PublicKey.load(tmp_path / "p.rlk").key_id == client.key_id
    with pytest.raises(rl.errors.SerializationError, match="at most 10 bytes"):
        rl.Ciphertext.load(tmp_path / "x.rlc", max_bytes=10)
    with pytest.raises(rl.errors.FileError, match=r"missing\.rlc"):
        rl.Ciphertext.load(tmp_path / "missing.rlc")
    with pytest.raises(OSError, match=r"missing\.rlc"):
        rl.EvaluationKeys.load(tmp_path / "missing.rlc")


def test_secret_files(client: rl.Client, params: rl.Params, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    client.save_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = rl.Client.load_secret(path, params, threads=1)
    assert again.key_id == client.key_id
    x = np.array([0.5, -1.0])
    np.testing.assert_allclose(again.decrypt(client.encrypt(x)), x, atol=1e-6)
    np.testing.assert_allclose(client.decrypt(again.encrypt(x)), x, atol=1e-6)


def test_encryption_needs_the_public_key_only(client: rl.Client, params: rl.Params) -> None:
    sender = rl.Encryptor(params, client.public_key, threads=1)
    assert sender.key_id == client.key_id
    assert sender.params == params
    x = np.array([[0.5, -1.0], [0.25, 0.125]])
    np.testing.assert_allclose(client.decrypt(sender.encrypt(x)), x, atol=1e-6)
    assert not any("decrypt" in name for name in dir(sender))


def test_progress(client: rl.Client, capfd: pytest.CaptureFixture[str]) -> None:
    request = rl.KeyRequest().with_rotation(1, 1).with_rotation(2, 1).with_relinearisation(1)
    seen: list[tuple[int, int]] = []
    client.keygen(request, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    client.keygen(request, progress=False)
    client.keygen(request)  # no terminal here
    assert capfd.readouterr().err == ""
    client.keygen(request, progress=True)
    assert "3/3" in capfd.readouterr().err
    with pytest.raises(TypeError, match="None, a boolean or a callable"):
        client.keygen(request, progress="yes")

    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        client.keygen(request, progress=stop)
