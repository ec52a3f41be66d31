"""A small client and server. Toy parameters: insecure and quick."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import ringloom as rl

Pair = tuple[rl.Client, rl.Session]


def request_for(params: rl.Params, *shapes: tuple[int, int]) -> rl.KeyRequest:
    request = rl.KeyRequest().with_relinearisation(params.max_level)
    for shape in shapes:
        request |= rl.matvec_plan(params, shape).key_request
    return request


@pytest.fixture(scope="session")
def params() -> rl.Params:
    return rl.Params.insecure_toy(3)


@pytest.fixture(scope="session")
def client(params: rl.Params) -> rl.Client:
    return rl.Client(params, threads=1)


@pytest.fixture(scope="session")
def server_for(params: rl.Params, client: rl.Client) -> Callable[..., rl.Session]:
    def make(*shapes: tuple[int, int]) -> rl.Session:
        keys = client.keygen(request_for(params, *shapes), progress=False)
        return rl.Session(params, keys, device="cpu", threads=1)

    return make


@pytest.fixture(scope="session")
def server(server_for: Callable[..., rl.Session]) -> rl.Session:
    return server_for((8, 16))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def toy_network(rng: np.random.Generator) -> rl.Sequential:
    w1, w2 = rng.normal(size=(8, 16)) / 4, rng.normal(size=(3, 8)) / 3
    return rl.Sequential(
        [
            rl.Linear(w1, rng.normal(size=8) / 4),
            rl.Activation("tanh", degree=7),
            rl.Linear(w2),
        ]
    )


@pytest.fixture(scope="session")
def network() -> rl.Sequential:
    return toy_network(np.random.default_rng(3))


@pytest.fixture(scope="session")
def calibration() -> np.ndarray:
    return np.random.default_rng(4).uniform(-1, 1, size=(30, 16))


@pytest.fixture(scope="session")
def program(network: rl.Sequential, calibration: np.ndarray) -> rl.Program:
    return network.compile(calibration, params=rl.Params.insecure_toy(5))
