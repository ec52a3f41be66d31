"""Networks: clear, simulated, encrypted."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

import ringloom as rl
from ringloom import errors

from .conftest import toy_network


def test_modes_agree(network: rl.Sequential, program: rl.Program, calibration: np.ndarray) -> None:
    x = calibration[:20]
    exact, clear, noisy = network(x), program.clear(x), program.simulate(x, seed=1)
    assert exact.shape == clear.shape == noisy.shape == (20, 3)
    np.testing.assert_allclose(clear, exact, atol=program.prediction.model_error + 1e-12)
    assert 0 < np.abs(noisy - clear).max() < 10 * program.prediction.error
    np.testing.assert_array_equal(noisy, program.simulate(x, seed=1))
    assert network(x[0]).shape == program.clear(x[0]).shape == (3,)


def test_encrypted(program: rl.Program, calibration: np.ndarray) -> None:
    public = program.public
    client = rl.Client.for_program(public, threads=1)
    keys = client.keygen(public.key_request, progress=False)
    assert 1 <= keys.nbytes / program.prediction.key_bytes < 1.01  # and a few bytes of framing
    server = rl.ModelServer(program, keys, device="cpu", threads=1)
    assert server.public == public
    for x in (calibration[0], calibration[:20], calibration[:1]):
        seen: list[tuple[int, int]] = []
        ct = client.encrypt_for(public, x)
        result = server.run(ct, progress=lambda *step, seen=seen: seen.append(step))
        got = client.decrypt_for(public, result)
        assert got.shape == (*x.shape[:-1], 3)
        np.testing.assert_allclose(got, program.clear(x), atol=8 * program.prediction.error)
        names = [step.name for step in public.steps]
        assert [r.name for r in result.reports] == names
        assert seen == [(i + 1, len(names)) for i in range(len(names))]
        assert result.reports[0].level_in == public.input_level
        assert all(r.ms > 0 and abs(r.scale_bits_out - 40) < 1 for r in result.reports)
        assert pickle.loads(pickle.dumps(result)).reports == []
    with pytest.raises(errors.ShapeError):
        client.decrypt_for(public, ct)
    with pytest.raises(errors.ShapeError):
        server.run(client.encrypt(calibration[0], level=public.input_level))
    with pytest.raises(errors.ShapeError):
        client.encrypt_for(public, np.zeros(15))
    with pytest.raises(errors.KeyMissingError):
        rl.ModelServer(program, client.keygen(rl.KeyRequest()), threads=1)
    with pytest.raises(errors.KeyMismatchError):
        server.run(rl.Client.for_program(public, threads=1).encrypt_for(public, calibration[0]))


def test_encrypted_weights(program: rl.Program, calibration: np.ndarray, tmp_path: Path) -> None:
    public = program.public.with_encrypted_weights()
    assert public != program.public
    client = rl.Client.for_program(public, threads=1)
    keys = client.keygen(public.key_request, progress=False)
    owner = rl.Encryptor(program.params, client.public_key, threads=1)
    encrypted = owner.encrypt_weights(program)
    assert encrypted.public == public
    assert encrypted.key_id == client.key_id
    assert encrypted.params == program.params
    assert "EncryptedProgram(3 steps" in repr(encrypted)
    encrypted.save(tmp_path / "encrypted.rlp")
    with pytest.raises(errors.SecurityError):
        rl.EncryptedProgram.load(tmp_path / "encrypted.rlp")
    again = rl.EncryptedProgram.load(tmp_path / "encrypted.rlp", allow_insecure=True)
    assert again.to_bytes() == encrypted.to_bytes()
    assert len(pickle.dumps(again)) > again.nbytes
    server = rl.ModelServer(pickle.loads(pickle.dumps(again)), keys, device="cpu", threads=1)
    assert server.public == public
    x = calibration[:5]
    got = client.decrypt_for(public, server.run(client.encrypt_for(public, x)))
    np.testing.assert_allclose(got, program.clear(x), atol=100 * program.prediction.error)

    fewer = client.keygen(program.key_request, progress=False)
    with pytest.raises(errors.KeyMissingError, match="relinearisation"):
        rl.ModelServer(encrypted, fewer, threads=1)
    other = rl.Client.for_program(public, threads=1).keygen(public.key_request, progress=False)
    with pytest.raises(errors.KeyMismatchError):
        rl.ModelServer(encrypted, other, threads=1)
    damaged = bytearray(encrypted.to_bytes())
    damaged[-100] ^= 1
    broken = rl.EncryptedProgram.from_bytes(bytes(damaged), allow_insecure=True)
    with pytest.raises(errors.SerializationError):
        rl.ModelServer(broken, keys, threads=1)
    with pytest.raises(errors.SerializationError):
        rl.EncryptedProgram.from_bytes(program.to_bytes(), allow_insecure=True)
    with pytest.raises(TypeError, match="not a program"):
        rl.ModelServer(public, keys)  # type: ignore[arg-type]


def test_more_inputs_than_lanes(program: rl.Program, rng: np.random.Generator) -> None:
    public = program.public
    x = rng.uniform(-1, 1, size=(public.lanes + 3, 16))
    client = rl.Client.for_program(public, threads=1)
    server = rl.ModelServer(program, client.keygen(public.key_request), threads=1)
    result = server.run(client.encrypt_for(public, x))
    assert {r.batch for r in result.reports} == {0, 1}
    np.testing.assert_allclose(
        client.decrypt_for(public, result), program.clear(x), atol=8 * program.prediction.error
    )


def test_prediction(program: rl.Program) -> None:
    p = program.prediction
    assert (p.depth, program.public.input_level) == (5, 5)
    assert p.error < 1e-3
    assert p.key_bytes > 0
    assert p.input_bytes > 0
    assert str(p) in repr(p)
    (fit,) = program.fits
    assert (fit.name, fit.degree) == ("tanh", 7)
    assert fit.range[0] < fit.range[1]
    assert fit.error < 0.1


def test_public_part_hides_the_weights(calibration: np.ndarray) -> None:
    params = rl.Params.insecure_toy(5)
    one, two = (
        toy_network(np.random.default_rng(seed)).compile(calibration, params=params).public
        for seed in (10, 11)
    )
    assert one.to_bytes() == two.to_bytes()
    assert one == two


def test_programs_travel(tmp_path: Path, calibration: np.ndarray) -> None:
    # Secure parameters: what comes out of bytes is checked again.
    program = rl.Sequential([rl.Linear(np.eye(3, 16))]).compile(calibration)
    x = calibration[:4]
    again = pickle.loads(pickle.dumps(program))
    np.testing.assert_array_equal(again.clear(x), program.clear(x))
    program.save(tmp_path / "a.rlp")
    np.testing.assert_array_equal(rl.Program.load(tmp_path / "a.rlp").clear(x), program.clear(x))
    public = program.public
    public.save(tmp_path / "public.rlp")
    for found in (
        pickle.loads(pickle.dumps(public)),
        rl.PublicProgram.load(tmp_path / "public.rlp"),
    ):
        assert found == public
        assert found.params == program.params
    with pytest.raises(errors.SerializationError):
        rl.PublicProgram.load(tmp_path / "a.rlp")
    with pytest.raises(errors.SerializationError):
        rl.Program.load(tmp_path / "public.rlp")


def test_callable_activation(calibration: np.ndarray) -> None:
    def net(function: object, degree: int = 7, **options: object) -> rl.Sequential:
        layers = [rl.Linear(np.eye(4, 16)), rl.Activation(function, degree=degree, **options)]
        return rl.Sequential(layers)

    params = rl.Params.insecure_toy(5)
    for function in (math.tanh, np.tanh, lambda v: v * v, lambda v: max(v, -2.0)):
        model = net(function)
        program = model.compile(calibration, params=params)
        expected = [[function(v) for v in row[:4]] for row in calibration]
        np.testing.assert_allclose(model(calibration), expected, atol=1e-12)
        np.testing.assert_allclose(program.clear(calibration), expected, atol=0.05)
    assert program.fits[0].name == "<lambda>"
    assert net(math.tanh, name="curve").compile(calibration, params=params).fits[0].name == "curve"
    fits = net("tanh", range=(-3, 3)).compile(calibration, params=params).fits
    assert fits[0].range == (-3, 3)

    def broken(x: float) -> float:
        raise ZeroDivisionError("at last")

    with pytest.raises(errors.ActivationError, match="at last") as caught:
        net(broken).compile(calibration, params=params)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(errors.ActivationError, match="at last"):
        net(broken)(calibration)
    with pytest.raises(errors.ActivationError):
        net(lambda v: "text").compile(calibration, params=params)
    with pytest.raises(errors.FunctionNotFiniteError):
        net(lambda v: math.nan).compile(calibration, params=params)
    with pytest.raises(errors.EmptyRangeError):
        net("tanh", range=(1, -1)).compile(calibration, params=params)
    with pytest.raises(TypeError, match="expected a name or a callable"):
        rl.Activation(3, degree=7)

    def interrupt(x: float) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net(interrupt).compile(calibration, params=params)


def test_refused(network: rl.Sequential, calibration: np.ndarray) -> None:
    params = rl.Params.insecure_toy(5)
    with pytest.raises(errors.PrecisionError, match="predicted"):
        network.compile(calibration, params=params, max_error=1e-12)
    with pytest.raises(errors.PrecisionError, match="polynomial model"):
        network.compile(calibration, params=params, max_model_error=1e-12)
    with pytest.raises(TypeError, match="layer 0 is no layer"):
        rl.Sequential([np.eye(3)])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sklearn(rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, size=(60, 5))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    for activation in ("tanh", "logistic", "relu", "identity"):
        fitted = MLPClassifier((6, 4), activation=activation, max_iter=30, random_state=0).fit(x, y)
        model = rl.from_sklearn(fitted, degree=15)
        assert model.widths == (5, 3)
        np.testing.assert_array_equal(fitted.predict(x), fitted.classes_[model(x).argmax(1)])
    target = x @ rng.normal(size=5)
    regressor = MLPRegressor(
        hidden_layer_sizes=(6,), activation="tanh", max_iter=30, random_state=0
    ).fit(x, target)
    np.testing.assert_allclose(rl.from_sklearn(regressor)(x)[:, 0], regressor.predict(x), atol=1e-9)
    replaced = rl.from_sklearn(regressor, activation=math.sin, degree=9)
    assert "Activation('sin', degree=9)" in repr(replaced)
    with pytest.raises(TypeError, match="not a fitted network"):
        rl.from_sklearn(MLPClassifier())


def test_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from ringloom.__main__ import main

    for command, expected in (("devices", "cpu-scalar"), ("presets", "n14_k9")):
        monkeypatch.setattr("sys.argv", ["ringloom", command])
        main()
        assert expected in capsys.readouterr().out
