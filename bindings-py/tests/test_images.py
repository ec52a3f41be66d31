"""Networks on images."""

from __future__ import annotations

import numpy as np
import pytest

import ringloom as rl
from ringloom import errors


def small(rng: np.random.Generator) -> rl.Sequential:
    return rl.Sequential(
        [
            rl.Conv2d(rng.normal(size=(4, 1, 3, 3)) / 3, rng.normal(size=4), padding=1),
            rl.BatchNorm(rng.normal(size=4), rng.uniform(1, 2, size=4)),
            rl.Activation("square", degree=2),
            rl.AvgPool2d(2),
            rl.Flatten(),
            rl.Linear(rng.normal(size=(3, 36)) / 6),
        ],
        image=(1, 6, 6),
    )


def test_images_and_vectors_are_the_same(rng: np.random.Generator) -> None:
    net, x = small(rng), rng.uniform(-1, 1, size=(12, 1, 6, 6))
    assert net.widths == (36, 3)
    np.testing.assert_array_equal(net(x), net(x.reshape(12, 36)))
    np.testing.assert_array_equal(net(x[0]), net(x)[0])
    assert "Conv2d(1 -> 4, 3 x 3), BatchNorm(4)" in repr(net)
    program = net.compile(x, params=rl.Params.insecure_toy(4))
    assert program.prediction.depth == 4
    np.testing.assert_allclose(program.clear(x), net(x), atol=1e-9)
    client = rl.Client.for_program(program.public, threads=1)
    keys = client.keygen(program.key_request, progress=False)
    server = rl.ModelServer(program, keys, device="cpu", threads=1)
    answer = server.run(client.encrypt_for(program.public, x))
    got = client.decrypt_for(program.public, answer)
    np.testing.assert_allclose(got, net(x), atol=8 * program.prediction.error)


def test_layers_say_what_they_take(rng: np.random.Generator) -> None:
    conv = rl.Conv2d(rng.normal(size=(4, 2, 3, 5)), stride=2, groups=2)
    assert conv.shape == (4, 4, 3, 5)
    assert repr(conv) == "Conv2d(4 -> 4, 3 x 5)"
    assert rl.AvgPool2d(3).window == (3, 3)
    assert repr(rl.AvgPool2d(3, stride=1)) == "AvgPool2d(3, stride=1)"
    assert rl.BatchNorm([0.0], [1.0]).channels == 1
    assert repr(rl.Flatten()) == "Flatten()"
    for bad in (
        lambda: rl.Conv2d(np.zeros((2, 3, 3))),
        lambda: rl.Conv2d(np.zeros((2, 0, 3, 3))),
        lambda: rl.Conv2d(np.zeros((2, 1, 3, 3)), np.zeros(3)),
        lambda: rl.Conv2d(np.zeros((2, 1, 3, 3)), stride=0),
        lambda: rl.AvgPool2d(0),
        lambda: rl.BatchNorm([0.0], [1.0, 2.0]),
        lambda: rl.Sequential([conv]),
        lambda: rl.Sequential([conv], image=(3, 8, 8)),
        lambda: rl.Sequential([conv, rl.Linear(np.zeros((2, 2)))], image=(4, 8, 8)),
    ):
        with pytest.raises(errors.ShapeError, match="expected"):
            bad()
    with pytest.raises(TypeError, match="layer 0 is no layer"):
        rl.Sequential([np.zeros(3)], image=(1, 2, 2))  # type: ignore[list-item]
    with pytest.raises(errors.ShapeError):
        small(rng)(np.zeros((1, 5, 5)))
