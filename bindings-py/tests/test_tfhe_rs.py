"""Exchange with tfhe-rs: ciphertexts that its `safe_serialize` wrote, under a toy key of ours."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ringloom as rl

DATA = Path(__file__).parents[2] / "core/tests/data/tfhe_rs/serialised"
SET = "V1_7_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128"
NUMBER = np.array([0, 1, 2, 3])  # the blocks of 228
WEIGHTS = np.array([[1, 1, 0, 0], [0, 1, 0, -1], [1, 0, 1, 0], [0, 0, -1, 1]])


def read(name: str) -> bytes:
    return (DATA / name).read_bytes()


@pytest.fixture(scope="module")
def client() -> rl.IntClient:
    return rl.IntClient(rl.IntParams.insecure_toy(4), threads=1)


@pytest.fixture(scope="module")
def session(client: rl.IntClient) -> rl.IntSession:
    return rl.IntSession(client.params, client.keygen(progress=False), device="cpu", threads=1)


@pytest.fixture(scope="module")
def theirs() -> rl.TfheRsSecret:
    return rl.TfheRsSecret.from_client_key(read("client_key.bin"), id=bytes(32))


@pytest.fixture(scope="module")
def exchange(
    client: rl.IntClient, session: rl.IntSession, theirs: rl.TfheRsSecret
) -> rl.TfheRsExchange:
    keys = client.import_key(theirs), client.export_key(theirs)
    return rl.TfheRsExchange(session, import_key=keys[0], export_key=keys[1])


def test_integers_there_and_back(
    client: rl.IntClient, theirs: rl.TfheRsSecret, exchange: rl.TfheRsExchange
) -> None:
    x = exchange.load([read("fheuint8.bin"), read("fheuint8.bin")])
    assert (x.shape, x.range) == ((2, 4), (0, 3))
    np.testing.assert_array_equal(client.decrypt_int(x.export()), [NUMBER, NUMBER])
    y = rl.lut(x @ WEIGHTS.T, lambda v: v % 4)
    out = exchange.export(y)
    assert len(out) == 2
    for number in out:
        np.testing.assert_array_equal(theirs.decrypt(number), WEIGHTS @ NUMBER % 4)
    again = exchange.load(out[0], lambda v: 3 - v)
    assert again.shape == (4,)
    want = 3 - WEIGHTS @ NUMBER % 4
    np.testing.assert_array_equal(client.decrypt_int(again.export()), want)
    (signed,) = exchange.export(again, "FheInt8")
    np.testing.assert_array_equal(theirs.decrypt(signed), want)


@pytest.mark.skipif("RINGLOOM_TFHE_RS" not in os.environ, reason="needs tfhe-rs: make test-tfhe")
def test_a_live_process_decrypts(
    client: rl.IntClient, session: rl.IntSession, tmp_path: Path
) -> None:
    def tfhe_rs(command: str) -> str:
        line = ["node", os.environ["RINGLOOM_TFHE_RS"], command, str(tmp_path)]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    tfhe_rs("serialised")
    theirs = rl.TfheRsSecret.from_client_key((tmp_path / "client_key.bin").read_bytes())
    keys = client.import_key(theirs), client.export_key(theirs)
    exchange = rl.TfheRsExchange(session, import_key=keys[0], export_key=keys[1])
    x = exchange.load((tmp_path / "fheuint8.bin").read_bytes())
    y = rl.lut(WEIGHTS @ x, lambda v: v % 4)
    (tmp_path / "result.bin").write_bytes(exchange.export(y)[0])
    want = sum(int(v) << (2 * i) for i, v in enumerate(WEIGHTS @ NUMBER % 4))
    assert int(tfhe_rs("open")) == want


def test_single_blocks(theirs: rl.TfheRsSecret, exchange: rl.TfheRsExchange) -> None:
    bit = read("fhebool.bin")
    np.testing.assert_array_equal(theirs.decrypt(bit), [1])
    bits = exchange.load([bit, bit, bit], lambda v: 1 - v)
    assert (bits.shape, bits.range) == ((3,), (0, 1))
    for kind in ("FheBool", "shortint::Ciphertext"):
        out = exchange.export(bits, kind)
        assert [theirs.decrypt(one).tolist() for one in out] == [[0]] * 3


def test_keys_are_public_and_secrets_stay(
    client: rl.IntClient, session: rl.IntSession, theirs: rl.TfheRsSecret, tmp_path: Path
) -> None:
    assert theirs.set == SET.removeprefix("V1_7_")
    assert theirs.id == bytes(32).hex()
    assert rl.TfheRsSecret.from_client_key(read("client_key.bin")).id != theirs.id
    for secret in (theirs, rl.TfheRsSecret(SET, np.ones(2048, np.uint64))):
        assert len(repr(secret)) < 160
        with pytest.raises(TypeError, match="secret"):
            pickle.dumps(secret)
    key = client.import_key(theirs)
    key.save(tmp_path / "import.rlk")
    kept = rl.TfheRsImportKey.load(tmp_path / "import.rlk")
    assert kept.to_bytes() == pickle.loads(pickle.dumps(key)).to_bytes() == key.to_bytes()
    assert (kept.key_id, kept.params_id) == (client.key_id, client.params.id)
    assert kept.nbytes < 40_000
    exchange = rl.TfheRsExchange(session, import_key=kept)
    with pytest.raises(TypeError, match="device"):
        pickle.dumps(exchange)
    with pytest.raises(rl.errors.KeyMissingError, match="export_key"):
        exchange.export(exchange.load(read("fhebool.bin")))
    with pytest.raises(rl.errors.KeyMissingError, match="import_key"):
        rl.TfheRsExchange(session).load(read("fhebool.bin"))


def test_bad_input(
    client: rl.IntClient,
    session: rl.IntSession,
    theirs: rl.TfheRsSecret,
    exchange: rl.TfheRsExchange,
) -> None:
    number, bit = read("fheuint8.bin"), read("fhebool.bin")
    for wrong in (number[:-1], number[:40], b"", bit + b"\0", read("client_key.bin")):
        with pytest.raises(rl.errors.SerializationError, match=r"tfhe-rs 1\.4 to 1\.8"):
            exchange.load(wrong)
    later = bytearray(bit)
    later[57] = 9
    with pytest.raises(rl.errors.SerializationError, match="version 1 or 2"):
        exchange.load(bytes(later))
    other_set = bytearray(number)
    other_set[85 + 8 + 8 * 2049 + 28 + 24 + 4] = 2
    with pytest.raises(rl.errors.ParamsMismatchError, match="2 values of a message"):
        exchange.load(bytes(other_set))
    for shapes in ([], [number, bit]):
        with pytest.raises(rl.errors.ShapeError):
            exchange.load(shapes)
    with pytest.raises(rl.errors.SerializationError):
        rl.TfheRsSecret.from_client_key(number)
    with pytest.raises(rl.errors.ShapeError, match="32 bytes"):
        rl.TfheRsSecret.from_client_key(read("client_key.bin"), id=b"me")
    with pytest.raises(rl.errors.UnknownNameError, match="version"):
        rl.TfheRsSecret(SET.replace("V1_7", "V1_2"), np.ones(2048, np.uint64))
    with pytest.raises(rl.errors.ShapeError, match="2048"):
        rl.TfheRsSecret(SET, np.ones(7, np.uint64))
    with pytest.raises(rl.errors.ParameterError, match="large_lwe_secret_key"):
        rl.TfheRsSecret(SET, np.full(2048, 2, np.uint64))

    x = session.load(client.encrypt_int([-1, 2, 0, 1], range=(-1, 3)))
    with pytest.raises(rl.errors.MessageRangeError, match="0 to 15"):
        exchange.export(x)
    with pytest.raises(rl.errors.MessageRangeError, match="0 to 3"):
        exchange.export(session.load(client.encrypt_int([5], range=(0, 7))))
    with pytest.raises(rl.errors.UnknownNameError, match="FheUint"):
        exchange.export(x, "CompressedFheUint")

    # Keys of another client, of another key of tfhe-rs, of other parameters.
    stranger = rl.IntClient(client.params, threads=1)
    foreign = stranger.import_key(theirs)
    with pytest.raises(rl.errors.KeyMismatchError):
        rl.TfheRsExchange(session, import_key=foreign)
    renamed = rl.TfheRsSecret.from_client_key(read("client_key.bin"), id=bytes([1]) * 32)
    with pytest.raises(rl.errors.KeyMismatchError):
        rl.TfheRsExchange(
            session,
            import_key=client.import_key(theirs),
            export_key=client.export_key(renamed),
        )
    three = rl.IntClient(rl.IntParams.insecure_toy(3), threads=1)
    with pytest.raises(rl.errors.ParameterError, match="message bits"):
        three.import_key(theirs)
    three_bits = rl.IntSession(three.params, three.keygen(progress=False), threads=1)
    with pytest.raises(rl.errors.ParameterError, match="2 or 4 bits"):
        rl.TfheRsExchange(three_bits)
