"""The examples run, and the demo's roles keep their secrets apart."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ringloom as rl

EXAMPLES = Path(__file__).parents[2] / "examples/python"


def run(script: str, *args: object, cwd: Path | None = None) -> str:
    command = [sys.executable, str(EXAMPLES / script), *map(str, args)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_first_example() -> None:
    assert "Tensor(shape=(4,)" in run("01_encrypt_matmul.py")


def test_encrypted_matrices() -> None:
    assert "MatrixTensor(shape=(32, 1000)" in run("02_encrypted_matrices.py")


def test_fastest_product() -> None:
    assert "MatrixTensor(shape=(24, 40)" in run("03_fastest_product.py")


def test_arrays() -> None:
    assert "MatrixTensor(shape=(100,)" in run("04_arrays.py")


def test_quantised_digits() -> None:
    printed = run("digits_quantised.py", "--images", 3, "--toy")
    assert printed.count("equal to the clear network: yes") == 2


def test_convolutional_network() -> None:
    printed = run("digits_conv.py", "--images", 40)
    assert "average pooling 2, linear 128 -> 10" in printed
    assert "encrypted and clear agree: 100.00%" in printed


def test_readmes_show_the_same_lines() -> None:
    """Those of the repository's page run in the wheel's check, too."""
    root = EXAMPLES.parents[1]
    pages = [root / "README.md", root / "bindings-py/README.md"]
    blocks = [re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S) for page in pages]
    assert blocks[0] == blocks[1]
    assert len(blocks[0]) == 1
    exec(compile(blocks[0][0], "README.md", "exec"), {})


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo")
    return out, run("demo_digits.py", "--out", out, "--device", "cpu")


def test_demo(demo: tuple[Path, str]) -> None:
    out, printed = demo
    assert printed.count(": yes\n") == 4
    for what in ("one image per ciphertext", "packed, 200 images", "evaluation keys", "tanh (deg"):
        assert what in printed
    assert (out / "digits.png").read_bytes().startswith(b"\x89PNG")
    with np.load(out / "demo/client/logits.npz") as logits:
        assert logits["packed"].shape == (200, 10)


def test_encrypted_weights(demo: tuple[Path, str]) -> None:
    data = demo[0] / "digits/digits.npz"
    printed = run("digits_encrypted_weights.py", "--data", data, "--images", 20)
    assert "same answers: yes" in printed


def test_demo_says_when_a_bound_is_missed(demo: tuple[Path, str]) -> None:
    strict = "import demo_digits as d; d.FROM_FLOAT = 1e-9; d.main()"
    options = ["--out", demo[0], "--data", demo[0] / "digits", "--images", 3, "--singles", 1]
    command = [sys.executable, "-c", strict, *map(str, options)]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a bound is missed" in done.stderr
    assert "<= 1e-09: NO" in done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in the shape of the demo's, small and untrained."""
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(
        path,
        w1=rng.normal(size=(4, 64)) / 20,
        b1=rng.normal(size=4) / 10,
        w2=rng.normal(size=(3, 4)) / 4,
        b2=rng.normal(size=3),
        x_calibration=rng.uniform(size=(20, 64)),
        x_test=rng.uniform(size=(5, 64)),
    )
    return path


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Every role has run; while the server did, the client's folder was out of reach."""
    root = tmp_path_factory.mktemp("roles")
    client, server, exchange = (root / name for name in ("client", "server", "exchange"))
    for folder in (client, server, exchange):
        folder.mkdir()
    with np.load(data) as file:
        np.save(client / "images.npy", file["x_test"])
    program, public = server / "program.rlp", exchange / "public.rlp"
    run(
        "digits_owner.py",
        *("--data", data, "--degree", 3, "--program", program, "--public", public),
    )
    own = ("--exchange", exchange, "--home", client, "--singles", 1)
    run("digits_client.py", "keygen", *own)
    run("digits_client.py", "encrypt", *own)
    away = client.rename(root / "elsewhere")
    run("digits_server.py", "--exchange", exchange, "--device", "cpu", cwd=server)
    away.rename(client)
    run("digits_client.py", "decrypt", *own)
    return root


def test_roles_agree(roles: Path) -> None:
    images = np.load(roles / "client/images.npy")
    program = rl.Program.load(roles / "server/program.rlp")
    with np.load(roles / "client/logits.npz") as logits:
        np.testing.assert_allclose(logits["packed"], program.clear(images), atol=1e-3)
        np.testing.assert_allclose(logits["singles"][0], program.clear(images[0]), atol=1e-3)
    report = json.loads((roles / "server/report.json").read_text(encoding="utf-8"))
    assert [run["name"] for run in report["runs"]] == ["packed", "single-0"]
    assert all(step["ms"] > 0 for run in report["runs"] for step in run["steps"])


def test_another_device_gives_the_same_answers(roles: Path, tmp_path: Path) -> None:
    """Byte for byte: a server on the simulated FPGA kernels."""
    for folder in ("server", "exchange"):
        shutil.copytree(roles / folder, tmp_path / folder)
    exchange = tmp_path / "exchange"
    run(
        "digits_server.py", "--exchange", exchange, "--device", "fpga-csim", cwd=tmp_path / "server"
    )
    answers = sorted(path.name for path in exchange.glob("*.out.rlc"))
    assert answers == ["packed.out.rlc", "single-0.out.rlc"]
    report = json.loads((tmp_path / "server/report.json").read_text(encoding="utf-8"))
    elsewhere = report["host_commands"]
    assert elsewhere["automorphism"] > 0
    assert not elsewhere.keys() & {"ntt", "mul", "mul_acc", "gadget_product"}
    for name in answers:
        assert (exchange / name).read_bytes() == (roles / "exchange" / name).read_bytes()


def coefficients(secret: bytes, count: int) -> np.ndarray:
    """The ternary coefficients plus one, two bits each, lowest first, out of a secret's file."""
    body = np.frombuffer(secret[88:-32], np.uint8)
    digits = ((body[:, None] >> np.arange(0, 8, 2)) & 3).reshape(-1)
    assert len(digits) == count
    shares = np.bincount(digits) / count
    np.testing.assert_allclose(shares, [1 / 3] * 3, atol=0.05)  # read the right way
    return digits


def patterns(roles: Path) -> dict[str, bytes]:
    """Pieces of the secret in every form in which it might lie around."""
    secret = (roles / "client/secret.rls").read_bytes()
    params = rl.PublicProgram.load(roles / "exchange/public.rlp").params
    trits = coefficients(secret, 1 << params.log_n).astype(np.int64) - 1
    piece = trits[1000:1032]
    middle = len(secret) // 2
    forms: dict[str, bytes] = {
        "packed": secret[middle : middle + 8],
        "hexadecimal": secret[middle : middle + 8].hex().encode(),
        "magic": b"RLSECRET",
    }
    for kind in (np.int8, np.int32, np.int64, np.float64):
        forms[np.dtype(kind).name] = piece.astype(kind).tobytes()
    forms["trits"] = (piece + 1).astype(np.uint8).tobytes()
    return forms


def test_no_secret_reaches_the_server(roles: Path) -> None:
    forms = patterns(roles)
    secret = (roles / "client/secret.rls").read_bytes()
    assert forms["packed"] in secret
    assert forms["magic"] in secret
    files = [path for name in ("server", "exchange") for path in (roles / name).rglob("*")]
    assert {"program.rlp", "report.json", "keys.rlk", "packed.rlc"} <= {f.name for f in files}
    assert not any(f.suffix == ".rls" or f.name == "images.npy" for f in files)
    for file in files:
        content = file.read_bytes()
        for name, form in forms.items():
            assert form not in content, f"{file.name} has a piece of the secret ({name})"


def test_no_decryption_reaches_the_server(roles: Path) -> None:
    """Nothing the server's program imports can decrypt, encrypt or read a secret."""
    probe = (
        "import digits_server as s\n"
        "seen = {}\n"
        "for name, value in vars(s).items():\n"
        "    if getattr(value, '__module__', '').startswith(('ringloom', 'digits')):\n"
        "        seen[name] = [a for a in dir(value) if not a.startswith('__')]\n"
        "import json; print(json.dumps(seen))\n"
    )
    environment = {"PYTHONPATH": str(EXAMPLES), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=roles / "server", env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(done.stdout)
    assert {"ModelServer", "Program", "EvaluationKeys", "Ciphertext"} <= set(seen)
    words = ("decrypt", "encrypt", "secret", "keygen")
    for name, attributes in seen.items():
        assert not [a for a in [name, *attributes] if any(word in a.lower() for word in words)]
    source = (EXAMPLES / "digits_server.py").read_text(encoding="utf-8")
    assert "decrypt" not in source
    assert "Client(" not in source
