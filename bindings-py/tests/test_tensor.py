"""Round trips and arithmetic against numpy."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import ringloom as rl

from .conftest import request_for

TOLERANCE = 1e-6


@pytest.mark.parametrize("shape", [(1,), (16,), (512,), (700,), (3, 16), (1, 5), (2, 600)])
def test_roundtrip(client: rl.Client, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    x = rng.uniform(-1, 1, size=shape)
    ct = client.encrypt(x)
    assert ct.shape == shape
    assert ct.dtype == np.float64
    got = client.decrypt(ct)
    assert got.shape == shape
    np.testing.assert_allclose(got, x, atol=TOLERANCE)


def test_packed_rows(client: rl.Client, rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, size=(40, 16))
    packed, loose = client.encrypt(x, widest=16), client.encrypt(x)
    assert packed.nbytes < loose.nbytes / 10
    np.testing.assert_allclose(client.decrypt(packed), x, atol=TOLERANCE)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, np.float64])
def test_dtypes(client: rl.Client, dtype: type) -> None:
    x = np.array([0, 1, 1, 0]).astype(dtype)
    np.testing.assert_allclose(client.decrypt(client.encrypt(x)), x, atol=TOLERANCE)
    np.testing.assert_allclose(client.decrypt(client.encrypt(x.tolist())), x, atol=TOLERANCE)


def test_rounding(client: rl.Client) -> None:
    x = np.array([0.3, -1.7, 0.0])
    rounded = client.decrypt(client.encrypt(x), round_bits=8)
    np.testing.assert_array_equal(rounded, np.round(x * 256) / 256)


def test_level(client: rl.Client) -> None:
    low, high = client.encrypt([1.0], level=1), client.encrypt([1.0])
    assert (low.level, high.level) == (1, 3)
    assert low.nbytes < high.nbytes
    assert abs(high.scale_bits - 40) < 1


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (8, 16), (16, 8), (10, 3), (3, 10), (16, 16), (1, 7), (9, 1), (600, 20), (5, 700)],
)
def test_matmul(
    client: rl.Client, params: rl.Params, rng: np.random.Generator, shape: tuple[int, int]
) -> None:
    rows, columns = shape
    keys = client.keygen(request_for(params, shape), progress=False)
    server = rl.Session(params, keys, threads=1)
    w, b = rng.uniform(-1, 1, size=shape), rng.uniform(-1, 1, size=rows)
    x = rng.uniform(-1, 1, size=columns)
    enc = server.load(client.encrypt(x))
    for product in (w @ enc + b, b + w @ enc, b + enc @ w.T, np.add(np.matmul(w, enc), b)):
        assert product.shape == (rows,)
        assert product.level == enc.level - 1
        np.testing.assert_allclose(client.decrypt(product.export()), w @ x + b, atol=1e-4)


def test_matmul_rows(client: rl.Client, server: rl.Session, rng: np.random.Generator) -> None:
    w, x = rng.uniform(-1, 1, size=(8, 16)), rng.uniform(-1, 1, size=(3, 16))
    product = server.load(client.encrypt(x)) @ w.T
    assert product.shape == (3, 8)
    assert len(product) == 3
    np.testing.assert_allclose(client.decrypt(product.export()), x @ w.T, atol=1e-4)


def test_matmul_packed(client: rl.Client, params: rl.Params, rng: np.random.Generator) -> None:
    w, x = rng.uniform(-1, 1, size=(8, 16)), rng.uniform(-1, 1, size=(40, 16))
    plan = rl.matvec_plan(params, w.shape, widest=16)
    server = rl.Session(params, client.keygen(plan.key_request), threads=1)
    product = server.load(client.encrypt(x, widest=16)) @ w.T
    np.testing.assert_allclose(client.decrypt(product.export()), x @ w.T, atol=1e-4)


def test_loaded_weights(client: rl.Client, server: rl.Session, rng: np.random.Generator) -> None:
    w, x = rng.uniform(-1, 1, size=(8, 16)), rng.uniform(-1, 1, size=(3, 16))
    a = server.load_weights(w)
    assert (a.shape, a.T.shape, a.ndim, a.dtype) == ((8, 16), (16, 8), 2, np.dtype("float64"))
    assert (a.level, a.device, a.params) == (3, server.device, client.params)
    assert a.nbytes == a.T.nbytes > 0
    assert a.T.T.shape == w.shape
    assert "Weights(shape=(8, 16)" in repr(a)
    rows, one = server.load(client.encrypt(x)), server.load(client.encrypt(x[0]))
    for _ in range(2):  # the same handle again and again
        product = a @ one + np.ones(8)
        assert product.level == 2
        np.testing.assert_allclose(client.decrypt(product.export()), w @ x[0] + 1, atol=1e-4)
        np.testing.assert_allclose(client.decrypt((rows @ a.T).export()), x @ w.T, atol=1e-4)
        # The very residues of a product with the array.
        assert (a @ one).export().to_bytes() == (w @ one).export().to_bytes()


def test_loaded_weights_within_memory(
    client: rl.Client, params: rl.Params, rng: np.random.Generator
) -> None:
    w, x = rng.uniform(-1, 1, size=(64, 64)), rng.uniform(-1, 1, size=64)
    keys = client.keygen(rl.matvec_plan(params, w.shape).key_request, progress=False)

    def serve(memory: int | None) -> rl.Session:
        return rl.Session(params, keys, device="cpu", threads=1, memory=memory)

    free = serve(None)
    held, encoded = free.key_bytes, free.load_weights(w).nbytes
    ct = client.encrypt(x)
    want = (w @ free.load(ct)).export().to_bytes()
    assert encoded > 0
    for memory, resident in ((held + 2 * encoded, encoded), (held + encoded - 1, 0)):
        server = serve(memory)
        a = server.load_weights(w)
        assert a.nbytes == resident
        for product in (a @ server.load(ct), w @ server.load(ct)):
            assert product.export().to_bytes() == want
    small = serve(held + 1000)
    y = small.load(ct)
    for refused, op in (
        (lambda: small.load_weights(w), "Session.load_weights"),
        (lambda: w @ y, "Tensor.__rmatmul__"),
    ):
        with pytest.raises(rl.errors.PlanMemoryError, match=r"shape \(64, 64\)") as error:
            refused()
        assert "at most 1000 bytes, got a plan of " in str(error.value)
        assert str(error.value).startswith(f"{op}: ")
    with pytest.raises(rl.errors.PlanMemoryError, match="at most 0 bytes"):
        serve(held - 1).load_weights(w)


def test_loaded_weights_packed(
    client: rl.Client, params: rl.Params, rng: np.random.Generator
) -> None:
    w, x = rng.uniform(-1, 1, size=(8, 16)), rng.uniform(-1, 1, size=(40, 16))
    plan = rl.matvec_plan(params, w.shape, level=2, widest=16)
    server = rl.Session(params, client.keygen(plan.key_request), threads=1)
    a = server.load_weights(w, level=2, widest=16)
    x_enc = server.load(client.encrypt(x, level=2, widest=16))
    product = x_enc @ a.T
    np.testing.assert_allclose(client.decrypt(product.export()), x @ w.T, atol=1e-4)


@pytest.mark.parametrize("shape", [(8, 16), (16, 16), (16, 4), (5, 13), (1, 9)])
def test_single_vectors(
    client: rl.Client, params: rl.Params, rng: np.random.Generator, shape: tuple[int, int]
) -> None:
    rows, columns = shape
    w, x = rng.uniform(-1, 1, size=shape), rng.uniform(-1, 1, size=columns)
    plan, usual = (rl.matvec_plan(params, shape, level=2, single=s) for s in (True, False))
    assert (plan.single, plan.lanes, plan.level, plan.shape) == (True, 1, 2, shape)
    keys = plan.key_request | rl.matvec_plan(params, (3, rows), level=1).key_request
    keys = keys.with_relinearisation(2)
    server = rl.Session(params, client.keygen(keys), threads=1)
    ct = client.encrypt(x, plan=plan)
    np.testing.assert_allclose(client.decrypt(ct), x, atol=1e-4)
    x_enc, a, b = server.load(ct), server.load_weights(w, plan=plan), rng.uniform(-1, 1, size=rows)
    for product in (a @ x_enc, w @ x_enc, x_enc @ w.T, x_enc @ a.T):
        np.testing.assert_allclose(client.decrypt((product + b).export()), w @ x + b, atol=1e-4)
    # Its copies are not shifted: the next matrix, and vectors encrypted as usual, go with it.
    w2 = rng.uniform(-1, 1, size=(3, rows))
    y = (a @ x_enc) + server.load(client.encrypt(b, level=1))
    np.testing.assert_allclose(client.decrypt((w2 @ y).export()), w2 @ (w @ x + b), atol=1e-4)
    # Entry by entry, shifted copies go with arrays and with each other.
    z = x_enc * x + x_enc * x_enc - x
    np.testing.assert_allclose(client.decrypt(z.export()), 2 * x * x - x, atol=1e-4)
    assert usual.single is False


def test_single_vectors_take_fewer_keys(params: rl.Params) -> None:
    single, usual = (rl.matvec_plan(params, (64, 64), single=s) for s in (True, False))
    count = [int(re.findall(r"rotations=(\d+)", repr(plan))[0]) for plan in (single, usual)]
    assert ("single" in repr(single), "single" in repr(usual)) == (True, False)
    assert count[0] < count[1]


def test_single_vectors_refuse(
    client: rl.Client, params: rl.Params, rng: np.random.Generator
) -> None:
    plan = rl.matvec_plan(params, (16, 16), single=True)
    server = rl.Session(params, client.keygen(plan.key_request), threads=1)
    x = server.load(client.encrypt(np.zeros(16), plan=plan))
    # Copies shifted for one shape do not fit another, nor weights for vectors without them.
    with pytest.raises(rl.errors.ShapeError, match="spread"):
        np.zeros((4, 16)) @ x
    with pytest.raises(rl.errors.ShapeError, match="shifted copies") as caught:
        server.load_weights(np.zeros((16, 16))) @ x
    assert "plan=" in caught.value.__notes__[0]
    with pytest.raises(rl.errors.ShapeError):
        x + server.load(client.encrypt(np.zeros(16)))
    with pytest.raises(rl.errors.ShapeError):
        client.encrypt(np.zeros(15), plan=plan)
    bare = rl.Session(params, client.keygen(rl.KeyRequest().with_relinearisation(1)), threads=1)
    with pytest.raises(rl.errors.KeyMissingError) as caught:
        np.zeros((16, 16)) @ bare.load(client.encrypt(np.zeros(16), plan=plan))
    assert "single=True" in caught.value.__notes__[0]
    for wrong in (
        lambda: rl.matvec_plan(params, (4, 4), single=True, widest=16),
        lambda: client.encrypt(np.zeros(16), plan=plan, widest=16),
        lambda: client.encrypt(np.zeros(16), plan=plan, level=2),
        lambda: server.load_weights(np.zeros((16, 16)), plan=plan, level=2),
    ):
        with pytest.raises(TypeError, match="got both"):
            wrong()
    other = rl.matvec_plan(rl.Params.insecure_toy(2), (16, 16), single=True)
    with pytest.raises(rl.errors.ParamsMismatchError):
        client.encrypt(np.zeros(16), plan=other)


def test_loaded_weights_refuse(
    client: rl.Client, params: rl.Params, server: rl.Session, rng: np.random.Generator
) -> None:
    w = rng.uniform(-1, 1, size=(8, 16))
    a, x = server.load_weights(w), server.load(client.encrypt(np.zeros(16)))
    for wrong in (lambda: a.T @ x, lambda: x @ a):
        with pytest.raises(TypeError, match=r"session\.load_weights\(array\.T\)"):
            wrong()
    with pytest.raises(TypeError, match=r"session\.load\(ciphertext\)"):
        a @ client.encrypt(np.zeros(16))
    for other in (np.zeros(16), w, [0.0] * 16):
        with pytest.raises(TypeError):
            a @ other
        with pytest.raises(TypeError):
            other @ a
    with pytest.raises(rl.errors.ShapeError, match=r"x @ A\.T"):
        a @ server.load(client.encrypt(np.zeros((2, 16))))
    with pytest.raises(rl.errors.ShapeError):
        a @ server.load(client.encrypt(np.zeros(15)))
    with pytest.raises(rl.errors.ShapeError) as caught:
        server.load(client.encrypt(np.zeros((2, 16)), widest=16)) @ a.T
    assert "widest=" in caught.value.__notes__[0]
    with pytest.raises(rl.errors.LevelMismatchError):
        a @ (x * 2.0)
    with pytest.raises(rl.errors.ShapeError):
        server.load_weights(np.zeros(16))
    with pytest.raises(rl.errors.NotFiniteError):
        server.load_weights(np.full((8, 16), np.nan))
    with pytest.raises(rl.errors.LevelExhaustedError):
        server.load_weights(w, level=4)
    bare = rl.Session(params, client.keygen(rl.KeyRequest().with_relinearisation(1)), threads=1)
    b = bare.load_weights(w)
    with pytest.raises(rl.errors.KeyMissingError) as caught:
        b @ bare.load(client.encrypt(np.zeros(16)))
    assert "matvec_plan" in caught.value.__notes__[0]


BINARY: list[Callable] = [
    lambda x, v: x + v,
    lambda x, v: v + x,
    lambda x, v: x - v,
    lambda x, v: v - x,
    lambda x, v: x * v,
    lambda x, v: v * x,
    lambda x, v: x / v,
]


@pytest.mark.parametrize("shape", [(16,), (3, 16)])
@pytest.mark.parametrize("op", BINARY)
def test_with_plain(
    client: rl.Client, server: rl.Session, rng: np.random.Generator, shape: tuple, op: Callable
) -> None:
    x = rng.uniform(-1, 1, size=shape)
    enc = server.load(client.encrypt(x))
    scalars = [2, -0.5, np.float64(1.5), np.array(3.0)]
    arrays = [rng.uniform(0.5, 1, size=16), rng.uniform(0.5, 1, size=shape)]
    for v in scalars + arrays:
        got = op(enc, v)
        assert isinstance(got, rl.Tensor)
        np.testing.assert_allclose(client.decrypt(got.export()), op(x, v), atol=1e-5)


@pytest.mark.parametrize("shape", [(16,), (3, 16)])
def test_with_encrypted(
    client: rl.Client, server: rl.Session, rng: np.random.Generator, shape: tuple
) -> None:
    x, y = rng.uniform(-1, 1, size=shape), rng.uniform(-1, 1, size=shape)
    ex, ey = server.load(client.encrypt(x)), server.load(client.encrypt(y))
    results = [
        (ex + ey, x + y),
        (ex - ey, x - y),
        (ex * ey, x * y),
        (-ex, -x),
        (np.negative(ex), -x),
        (ex * ey + (ex * 2.0), x * y + 2 * x),
    ]
    for got, expected in results:
        np.testing.assert_allclose(client.decrypt(got.export()), expected, atol=1e-5)


def test_alignment(client: rl.Client, server: rl.Session) -> None:
    x, y = np.array([0.5, -0.25]), np.array([1.0, 2.0])
    ex, ey = server.load(client.encrypt(x)) * 3.0, server.load(client.encrypt(y))
    ex, ey = rl.align_levels(ex, ey)
    assert ex.level == ey.level == 2
    np.testing.assert_allclose(client.decrypt((ex + ey).export()), 3 * x + y, atol=1e-5)


def test_properties(client: rl.Client, server: rl.Session) -> None:
    x = server.load(client.encrypt(np.zeros((3, 5))))
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((3, 5), 2, 15, 3, np.dtype("float64"))
    assert x.params == client.params
    assert x.key_id == client.key_id == server.key_id
    assert x.device == "cpu"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts raise, even where the shell started the tests with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_long_work(client: rl.Client, params: rl.Params) -> None:
    request = rl.KeyRequest()
    for steps in range(1, 2000):
        request = request.with_rotation(steps, params.max_level)
    keyboard = threading.Timer(0.02, signal.raise_signal, [signal.SIGINT])

    def interrupted() -> None:
        keyboard.start()  # here: where other work takes the processor, 20 ms pass at once
        client.keygen(request, progress=False)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    keyboard.join()


def test_threads_make_progress(client: rl.Client, params: rl.Params) -> None:
    """While keys are made, another thread runs: the interpreter's lock is released."""
    request = rl.KeyRequest()
    for steps in range(1, 400):
        request = request.with_rotation(steps, params.max_level)
    ticks, stop = [], threading.Event()

    def tick() -> None:
        while not stop.is_set():
            time.sleep(0.001)
            ticks.append(time.perf_counter())

    def runs_meanwhile() -> bool:
        ticks.clear()
        start = time.perf_counter()
        client.keygen(request, progress=False)
        end = time.perf_counter()
        assert end - start > 0.05, "too short to say anything"
        seen = [start, *(at for at in ticks if start < at < end), end]
        return len(seen) > 12 and max(np.diff(seen)) < (end - start) / 2

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        # Other work may take the processor from the thread, not every time.
        assert any(runs_meanwhile() for _ in range(10))
    finally:
        stop.set()
        thread.join()
