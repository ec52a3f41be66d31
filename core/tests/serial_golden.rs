//! Files of earlier versions: they load for ever.
//!
//! The files in `tests/data/serial-v1` were written by [`write_missing_files`]. When a kind gets a
//! new version, its files of that version go to a new folder and this test reads both. Version 2 of
//! what has seeds: each with its stream.

mod frames;

use std::{fs, path::PathBuf};

use frames::{Hidden, INTEGERS, MATRIX, Tfhe, VALUES, VECTORS, World, folder, reader};
use ringloom::{
    Ciphertext, Decryptor, Encryptor, EvaluationKeys, Evaluator, Params, PublicKey, SecretKey,
    SeededKeys, Session,
    matrix::{
        CoeffMatrix, EncryptedMatrix, EncryptedVectors, PlainMatrix, SharedMaskKeys,
        SharedMaskMatrix, SharedMaskProduct,
    },
    model::{Program, PublicProgram},
    rlwe::SecureRandom,
    serial::{Decode, Header, Security},
    tfhe::{
        EncryptedIntNetwork, GlweBatch, IntNetwork, LweBatch, PackingKey, SeededLweBatch,
        SeededPackingKey, SeededTfheKeys, TfheKeys,
    },
};
use ringloom_ntt::reference::ReferenceDevice;

const LIMIT: u64 = 1 << 16;
const ANY: Security = Security::AllowInsecure;

/// The newest version of any kind.
const NEWEST: u32 = 2;

fn data(version: u32) -> PathBuf {
    let folder = format!("serial-v{version}");
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", &folder]
        .iter()
        .collect()
}

/// The file of this version, or of the last before it.
fn newest(name: &str, version: u32) -> PathBuf {
    let mut found = (1..=version).rev().map(|v| data(v).join(name));
    found.find(|path| path.exists()).expect("a file")
}

fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6),
        "{a:?} {b:?}"
    );
}

/// For matrices at small scales.
fn far(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3),
        "{a:?} {b:?}"
    );
}

#[test]
fn every_version_loads() {
    (1..=NEWEST).for_each(loads);
}

fn loads(version: u32) {
    let path = |name: &str| newest(name, version);
    let params = Params::load(&path("params.rlp"), &ANY, LIMIT).unwrap();
    assert_eq!((params.log_n(), params.max_level()), (4, 4));
    let session = Session::new(&params, &ReferenceDevice::new()).unwrap();
    // The secret came out of version control, where files have no private mode.
    let folder = folder("golden");
    let secret = folder.join("secret.rls");
    fs::write(&secret, fs::read(path("insecure_secret_key.rls")).unwrap()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let secret = SecretKey::import_secret(&session, &secret).unwrap();
    fs::remove_dir_all(folder).unwrap();
    let decryptor = Decryptor::new(&secret);

    let ct = Ciphertext::load(&path("ciphertext.rlc"), &session, LIMIT).unwrap();
    assert_eq!((ct.level(), ct.power(), ct.key_id()), (2, 1, secret.id()));
    close(&decryptor.decrypt(&ct).unwrap(), &VALUES);
    let batch = EncryptedVectors::load(&path("vectors.rlc"), &session, LIMIT).unwrap();
    let plain = batch.decrypt(&decryptor).unwrap();
    plain.iter().zip(&VECTORS).for_each(|(a, b)| close(a, b));

    let world = World::with(&params, 1);
    for (name, _) in &world.matrices.packed {
        let matrix = <EncryptedMatrix as Decode>::load(&path(name), &session, LIMIT).unwrap();
        assert_eq!((matrix.shape(), matrix.key_id()), ((2, 1), secret.id()));
        match matrix.decrypt(&decryptor) {
            Ok(values) => far(&values, &MATRIX),
            // Sides in tiles are not decrypted.
            Err(error) => assert!(name.contains("tiles"), "{error}"),
        }
    }
    let matrix = CoeffMatrix::load(&path("coeff_matrix.rlc"), &session, LIMIT).unwrap();
    far(&matrix.decrypt(&decryptor).unwrap(), &MATRIX);
    let shared = path("shared_mask_matrix.rlc");
    let shared = <SharedMaskMatrix as Decode>::load(&shared, &session, LIMIT).unwrap();
    let keys = path("shared_mask_keys.rlk");
    let keys = <SharedMaskKeys as Decode>::load(&keys, &params, LIMIT).unwrap();
    let one = PlainMatrix::new(&params, 1, (1, 1), &[1.0]).unwrap();
    let product = SharedMaskProduct::new(&session, &one, &keys).unwrap();
    let product = product.multiply(&shared).unwrap();
    far(&product.decrypt(&decryptor).unwrap(), &MATRIX);

    let public = PublicKey::load(&path("public_key.rlk"), &params, LIMIT).unwrap();
    let fresh = Encryptor::new(&session, &public)
        .unwrap()
        .encrypt(&VALUES)
        .unwrap();
    close(&decryptor.decrypt(&fresh).unwrap(), &VALUES);
    let keys = SeededKeys::load(&path("seeded_keys.rlk"), &params, LIMIT).unwrap();
    let keys = EvaluationKeys::load(&session, &keys).unwrap();
    let evaluator = Evaluator::new(keys.into());
    let mut rotated = VALUES;
    rotated.rotate_left(1);
    close(
        &decryptor
            .decrypt(&evaluator.rotate(&ct, 1).unwrap())
            .unwrap(),
        &rotated,
    );
    let square = evaluator
        .rescale(&evaluator.mul(&ct, &ct).unwrap())
        .unwrap();
    close(&decryptor.decrypt(&square).unwrap(), &VALUES.map(|v| v * v));

    let program = Program::load(&path("program.rlp"), &ANY, LIMIT).unwrap();
    let public = PublicProgram::load(&path("public_program.rlp"), &ANY, LIMIT).unwrap();
    assert_eq!(program.public(), &public);
    let today = frames::compile(&params, 1.0);
    close(
        &program.clear(&VECTORS[0]).unwrap(),
        &today.clear(&VECTORS[0]).unwrap(),
    );

    let tfhe = Tfhe::new(1);
    let (toy, device) = (tfhe.session.params(), &tfhe.session);
    let batch = LweBatch::load(&path("tfhe_ciphertext.rlc"), device, LIMIT).unwrap();
    assert_eq!((batch.key_id(), batch.range()), (tfhe.secret.id(), -1..=2));
    assert_eq!(tfhe.secret.decrypt(&batch).unwrap(), INTEGERS);
    let keys = SeededTfheKeys::load(&path("tfhe_seeded_keys.rlk"), toy, LIMIT).unwrap();
    let keys = TfheKeys::load(device, &keys).unwrap();
    let small = keys.key_switch(&batch).unwrap();
    assert_eq!(tfhe.secret.decrypt_small(&small).unwrap(), INTEGERS);
    let fresh = SeededLweBatch::load(&path("tfhe_fresh_ciphertext.rlc"), toy, LIMIT).unwrap();
    let fresh = fresh.expand(device).unwrap();
    assert_eq!(tfhe.secret.decrypt(&fresh).unwrap(), INTEGERS);
    let packing = SeededPackingKey::load(&path("tfhe_packing_key.rlk"), toy, LIMIT).unwrap();
    let packing = PackingKey::load(device, &packing).unwrap();
    let packed = packing.pack(&fresh.slice(0, 2).unwrap(), 2).unwrap();
    assert_eq!(
        tfhe.secret.decrypt_glwe(&packed).unwrap()[..9],
        [-1, 0, 0, 0, 0, 0, 0, 0, 2]
    );
    let Hidden {
        session,
        secret,
        keys,
        ..
    } = Hidden::new(1);
    let toy = session.params();
    let network = path("integers_encrypted_network.rlp");
    let network = <EncryptedIntNetwork as Decode>::load(&network, toy, LIMIT).unwrap();
    let mut random = SecureRandom::insecure_from_seed([3; 32]);
    let vector = [vec![1, 0, 1]];
    let x = (secret.encrypt_vectors_with(&network, &vector, &mut random)).unwrap();
    let inputs = GlweBatch::load(&path("integers_inputs.rlc"), &session, LIMIT).unwrap();
    let entries = secret.decrypt_glwe(&inputs).unwrap();
    let of_vectors = entries.chunks_exact(toy.n()).map(|e| &e[..3]);
    assert_eq!(of_vectors.collect::<Vec<_>>(), frames::BITS);
    let keys = TfheKeys::load(&session, &keys).unwrap();
    let server = network.load(&session).unwrap();
    let y = server.run(&keys, &x, &mut ringloom::no_progress).unwrap();
    let today = IntNetwork::compile(toy, 0..=1, frames::layers()).unwrap();
    let clear = path("integers_network.rlp");
    let clear = <IntNetwork as Decode>::load(&clear, toy, LIMIT).unwrap();
    let want = today.run_clear(&vector[0]).unwrap();
    assert_eq!(clear.run_clear(&vector[0]).unwrap(), want);
    assert_eq!(secret.decrypt(&y).unwrap(), want);

    // What is written today comes back byte for byte; what was written before, in today's version.
    for frame in world.frames() {
        let bytes = fs::read(path(frame.name)).unwrap();
        let read = reader(&world, frame.name).read;
        let again = read(&bytes, LIMIT).unwrap();
        let (old, new) = (Header::of(&bytes).unwrap(), Header::of(&again).unwrap());
        assert!(old.version() <= version && new.version() == new.kind().version());
        if old.version() == new.version() {
            assert!(again == bytes, "{}", frame.name);
        } else {
            assert!(read(&again, LIMIT).unwrap() == again, "{}", frame.name);
        }
    }
}

/// Writes the files of the current version that are not there yet, and changes none:
/// `cargo test -p ringloom --test serial_golden -- --ignored`.
#[test]
#[ignore = "writes new fixtures"]
fn write_missing_files() {
    let world = World::new(1);
    for frame in world.frames() {
        let folder = data(Header::of(&frame.bytes).unwrap().version());
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(frame.name);
        if !path.exists() {
            fs::write(&path, &frame.bytes).unwrap();
        }
    }
    let path = data(1).join("insecure_secret_key.rls");
    if !path.exists() {
        world.secret.export_secret(&path).unwrap();
    }
}
