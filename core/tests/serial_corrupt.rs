//! Bytes that are not what they should be: typed errors, no panic, no large allocation.

mod frames;

use std::io::{self, Read};

use frames::{Frame, World, reader, seal};
use ringloom::{
    Ciphertext, Decryptor, Encryptor, Error, Evaluator, Params, PublicKey,
    matrix::EncryptedVectors,
    model::{Program, PublicProgram},
    serial::{Decode, Encode, Header, Security},
    tfhe::{LweBatch, TfheKeys, TfheParams},
};

const LIMIT: u64 = 1 << 20;
const BODY: usize = 88;

/// Bytes of a seed and its stream.
const SEED: usize = 33;

#[track_caller]
fn expect_serialization(result: Result<Vec<u8>, Error>, words: &str) {
    match result {
        Err(error @ Error::Serialization { .. }) => {
            let text = error.to_string();
            assert!(text.contains(words), "{text}");
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn every_prefix_is_refused() {
    for frame in World::new(1).frames() {
        for length in 0..frame.bytes.len() {
            let result = (frame.read)(&frame.bytes[..length], LIMIT);
            expect_serialization(result, "cut off");
        }
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    for frame in World::new(1).frames() {
        let mut bytes = frame.bytes.clone();
        for at in 0..bytes.len() {
            for flip in [1 << (at % 8), 0x80, 0xff] {
                bytes[at] ^= flip;
                let error = (frame.read)(&bytes, LIMIT).expect_err(frame.name);
                assert!(error.to_string().contains(", expected "), "{error}");
                bytes[at] ^= flip;
            }
        }
    }
}

#[test]
fn flips_under_a_right_checksum_are_refused_or_mean_something() {
    let (mut accepted, mut refused) = (0, 0);
    for frame in World::new(1).frames() {
        let mut bytes = frame.bytes.clone();
        for at in 0..bytes.len() - 32 {
            for flip in [1 << (at % 8), 0x80, 0xff] {
                bytes[at] ^= flip;
                seal(&mut bytes);
                match (frame.read)(&bytes, LIMIT) {
                    // Another value, written in its one way.
                    Ok(again) => {
                        assert!(again == bytes, "{} at {at}", frame.name);
                        accepted += 1;
                    }
                    Err(_) => refused += 1,
                }
                bytes[at] ^= flip;
            }
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} {refused}");
}

#[test]
fn sizes_are_limited() {
    for frame in World::new(1).frames() {
        let size = frame.bytes.len() as u64;
        assert!((frame.read)(&frame.bytes, size).is_ok());
        expect_serialization((frame.read)(&frame.bytes, size - 1), "at most");
        let mut longer = frame.bytes.clone();
        longer.push(0);
        expect_serialization((frame.read)(&longer, LIMIT), "the end of the bytes");
        // A body with something after its value.
        let mut longer = frame.bytes.clone();
        longer.splice(longer.len() - 32..longer.len() - 32, [0; 5]);
        let body = (longer.len() - BODY - 32) as u64;
        longer[80..88].copy_from_slice(&body.to_le_bytes());
        seal(&mut longer);
        expect_serialization((frame.read)(&longer, LIMIT), "5 more bytes");
        // A body that ends before its value does.
        let mut shorter = frame.bytes.clone();
        shorter.drain(shorter.len() - 33..shorter.len() - 32);
        shorter[80..88].copy_from_slice(&(body - 6).to_le_bytes());
        seal(&mut shorter);
        expect_serialization((frame.read)(&shorter, LIMIT), "more bytes in the body");
    }
}

#[test]
fn kinds_and_versions_are_checked() {
    let world = World::new(1);
    let frames = world.frames();
    let kind = |frame: &Frame| Header::of(&frame.bytes).unwrap().kind();
    for wanted in &frames {
        for given in frames.iter().filter(|f| kind(f) != kind(wanted)) {
            expect_serialization((wanted.read)(&given.bytes, LIMIT), "read it as what it is");
        }
        for (at, value, words) in [
            (12, kind(wanted).version() + 1, "newer version"),
            (12, 0, "newer version"),
            (8, 0, "kind 0"),
            (8, 99, "kind 99"),
        ] {
            let mut bytes = wanted.bytes.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            seal(&mut bytes);
            expect_serialization((wanted.read)(&bytes, LIMIT), words);
            assert!(Header::of(&bytes).is_err());
        }
        let mut bytes = wanted.bytes.clone();
        bytes[..8].copy_from_slice(b"ELFELFEL");
        expect_serialization((wanted.read)(&bytes, LIMIT), "RINGLOOM");
        // A secret file, however short, is called what it is.
        bytes[..8].copy_from_slice(b"RLSECRET");
        bytes[8..12].copy_from_slice(&8u32.to_le_bytes());
        bytes[12..16].copy_from_slice(&1u32.to_le_bytes());
        expect_serialization((wanted.read)(&bytes, LIMIT), "keep this file to yourself");
    }
}

#[test]
fn foreign_parameters() {
    let world = World::new(1);
    let other = World::with(&Params::insecure_toy_ring(5, 5).unwrap(), 1);
    for frame in world.frames() {
        let mut bytes = frame.bytes.clone();
        bytes[16] ^= 1;
        seal(&mut bytes);
        let error = (frame.read)(&bytes, LIMIT).unwrap_err();
        assert!(matches!(error, Error::ParamsMismatch { .. }), "{error}");
    }
    for name in [
        "public_key.rlk",
        "seeded_keys.rlk",
        "ciphertext.rlc",
        "vectors.rlc",
    ] {
        let theirs = reader(&other, name).bytes;
        let error = (reader(&world, name).read)(&theirs, LIMIT).unwrap_err();
        assert!(matches!(error, Error::ParamsMismatch { .. }), "{error}");
    }
}

#[test]
fn foreign_keys() {
    let (world, other) = (World::new(1), World::new(2));
    let theirs = other.ciphertext.to_bytes().unwrap();
    let header = Header::of(&theirs).unwrap();
    let error = world.secret.id().check_header(&header).unwrap_err();
    assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
    other.secret.id().check_header(&header).unwrap();
    // The identity stays with the value.
    let ct = Ciphertext::from_bytes(&theirs, &world.session, LIMIT).unwrap();
    let error = Decryptor::new(&world.secret).decrypt(&ct).unwrap_err();
    assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
    let keys = ringloom::EvaluationKeys::load(&world.session, &world.keys).unwrap();
    let error = Evaluator::new(keys.into()).rotate(&ct, 1).unwrap_err();
    assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
    // A batch under two keys has no frame.
    let packing = world.vectors.packing().with_length(3).unwrap();
    let long = ringloom::matrix::Packing::new(packing.slots(), 16, 16).unwrap();
    let ours = Encryptor::new(&world.session, &world.public).unwrap();
    let parts = vec![ct.try_clone().unwrap(), ours.encrypt_at(&[1.0], 2).unwrap()];
    let batch = EncryptedVectors::from_parts(long, 1, parts).unwrap();
    assert!(matches!(batch.to_bytes(), Err(Error::KeyMismatch { .. })));
}

#[test]
fn integers_are_checked() {
    let (world, other) = (World::new(1), World::new(2));
    let frame = reader(&world, "tfhe_ciphertext.rlc");
    // Count, least, largest (8 each), bits (4), flag, variance (8), masks, bodies.
    let patch = |at: usize, new: &[u8]| (frame.read)(&patched(&frame.bytes, at, new), LIMIT);
    expect_serialization(patch(0, &0u64.to_le_bytes()), "at least one ciphertext");
    expect_serialization(patch(0, &4u64.to_le_bytes()), "in the body");
    expect_serialization(patch(0, &(1u64 << 24).to_le_bytes()), "in the body");
    expect_serialization(patch(0, &u64::MAX.to_le_bytes()), "of at most 16777216");
    expect_serialization(patch(8, &(-2i64).to_le_bytes()), "a range of values");
    expect_serialization(patch(16, &(-2i64).to_le_bytes()), "a range of values");
    expect_serialization(patch(24, &1u32.to_le_bytes()), "2 to 32 bits");
    expect_serialization(patch(24, &33u32.to_le_bytes()), "2 to 32 bits");
    expect_serialization(patch(28, &[2]), "0 or 1");
    expect_serialization(patch(29, &f64::NAN.to_le_bytes()), "a number");
    expect_serialization(patch(29, &(-1f64).to_le_bytes()), "a variance");
    expect_serialization(patch(37, &[0xff; 7]), "residues below");
    let body = frame.bytes.len() - BODY - 32 - 8;
    expect_serialization(patch(body, &[0xff; 8]), "residues below");
    // The identity stays with the value.
    let theirs = other.tfhe.integers.to_bytes().unwrap();
    let batch = LweBatch::from_bytes(&theirs, &world.tfhe.session, LIMIT).unwrap();
    let error = world.tfhe.secret.decrypt(&batch).unwrap_err();
    assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
    let keys = TfheKeys::load(&world.tfhe.session, &world.tfhe.keys).unwrap();
    let error = keys.key_switch(&batch).unwrap_err();
    assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
    // Keys of the set that others call m2c2: what a server is sent.
    let bytes = TfheParams::named("p4").unwrap().key_bytes();
    assert!(bytes <= 32_000_000, "{bytes}");
    let keys = reader(&world, "tfhe_seeded_keys.rlk").bytes.len() as u64;
    assert_eq!(keys, world.tfhe.session.params().key_bytes());
}

#[test]
fn matrices_are_checked() {
    let world = World::new(1);
    let of = |name: &str, at: usize, new: &[u8]| {
        let frame = reader(&world, name);
        (frame.read)(&patched(&frame.bytes, at, new), LIMIT)
    };
    // Packing, whether turned, number of matrices, rows, columns, level (8 each); then what the packing
    // needs.
    let names = [
        "matrix_coefficients.rlc",
        "matrix_tiles.rlc",
        "matrix_slots.rlc",
        "matrix_features.rlc",
        "matrix_vectors.rlc",
    ];
    let long = |value: u64| value.to_le_bytes();
    for (packing, name) in names.into_iter().enumerate() {
        let bytes = reader(&world, name).bytes;
        assert_eq!(usize::from(bytes[BODY]), packing, "{name}");
        expect_serialization(of(name, 0, &[5]), "one of five packings");
        expect_serialization(of(name, 1, &[2]), "0 or 1");
        expect_serialization(of(name, 2, &long(0)), "matrices that are not empty");
        expect_serialization(of(name, 10, &long(1 << 25)), "of at most 16777216");
        expect_serialization(of(name, 18, &long(u64::MAX)), "of at most 16777216");
        expect_serialization(of(name, 26, &long(9)), "a level of at most");
        // The head says what the rest says.
        expect_serialization(of(name, 2, &long(7)), "count: 7");
        expect_serialization(of(name, 10, &long(7)), "shape: (7, ");
        expect_serialization(of(name, 26, &long(3)), "level: 3");
    }
    // Level, count, rows, inner length, columns, tile, radix, layout, side, scale.
    let tiles = |field: usize, new: &[u8]| of("matrix_tiles.rlc", 34 + 8 * field, new);
    assert!(matches!(tiles(1, &long(0)), Err(Error::Shape { .. })));
    assert!(matches!(
        tiles(5, &long(3)),
        Err(Error::InvalidParams { .. })
    ));
    expect_serialization(tiles(6, &long(4)), "radix 2");
    expect_serialization(tiles(7, &[4]), "a layout of tiles below 4");
    expect_serialization(tiles(7, &[0, 3]), "a left side, a right side or a product");
    // One tile fits every layout, and stays in the one that it says.
    for layout in 1..4 {
        let again = tiles(7, &[layout]).unwrap();
        assert_eq!(again[BODY + 34 + 8 * 7], layout);
    }
    // As many groups as never were in memory: refused at the first that is missing.
    expect_serialization(tiles(1, &long(1 << 24)), "in the body");
    expect_serialization(tiles(3, &long(1 << 24)), "in the body");
    let turned = reader(&world, "matrix_turned_tiles.rlc").bytes;
    let scale = BODY + 34 + 8 * 7 + 2;
    assert_eq!(
        turned[scale - 1..scale + 4],
        [0; 5],
        "a left side has no scale"
    );
    let scaled = |bytes| of("matrix_turned_tiles.rlc", scale - BODY, bytes);
    expect_serialization(scaled(&1u32.to_le_bytes()), "at most 2^0");
    let features = |at: usize, new: &[u8]| of("matrix_features.rlc", 34 + at, new);
    expect_serialization(features(0, &long(0)), "not empty");
    expect_serialization(features(8, &long(1 << 24)), "in the body");
    expect_serialization(
        of("matrix_vectors.rlc", 34 + 32 + 9, &long(0)),
        "at least one vector",
    );
    // Label, rows, columns, level, scale; keys: label, rows, level, seed.
    let shared = |at: usize, new: &[u8]| of("shared_mask_matrix.rlc", 32 + at, new);
    expect_serialization(shared(0, &long(0)), "not empty");
    expect_serialization(shared(0, &long(1 << 24)), "in the body");
    expect_serialization(shared(24, &61u32.to_le_bytes()), "at most 2^60");
    let keys = |at: usize, new: &[u8]| of("shared_mask_keys.rlk", 32 + at, new);
    expect_serialization(keys(0, &long(0)), "at least one row");
    expect_serialization(keys(0, &long(1 << 24)), "in the body");
    expect_serialization(keys(8, &long(9)), "a level of at most");
}

#[test]
fn insecure_parameters_need_a_word() {
    let world = World::new(1);
    let bytes = world.program.to_bytes().unwrap();
    let error = Program::from_bytes(&bytes, &Security::Required, LIMIT).unwrap_err();
    assert!(matches!(error, Error::InsecureParams { .. }), "{error}");
    let bytes = world.program.public().to_bytes().unwrap();
    let error = PublicProgram::from_bytes(&bytes, &Security::Required, LIMIT).unwrap_err();
    assert!(matches!(error, Error::InsecureParams { .. }), "{error}");
    let bytes = world.params.to_bytes().unwrap();
    let error = Params::from_bytes(&bytes, &Security::Required, LIMIT).unwrap_err();
    assert!(matches!(error, Error::InsecureParams { .. }), "{error}");
    let secure = Params::for_depth(2).unwrap();
    let bytes = secure.to_bytes().unwrap();
    assert_eq!(
        Params::from_bytes(&bytes, &Security::Required, LIMIT).unwrap(),
        secure
    );
}

/// A sealed frame like `bytes` with `new` instead of the body's bytes from `at` on.
fn patched(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[BODY + at..BODY + at + new.len()].copy_from_slice(new);
    seal(&mut bytes);
    bytes
}

#[test]
fn keys_are_checked_one_by_one() {
    let world = World::new(1);
    let frame = reader(&world, "seeded_keys.rlk");
    // Seed, stream, count, then kind (4), element (8), level (8), number (4), residues.
    let first = SEED + 8;
    let patch = |at: usize, new: &[u8]| (frame.read)(&patched(&frame.bytes, at, new), LIMIT);
    assert!(patch(0, &[9; 32]).is_ok(), "any seed will do");
    expect_serialization(patch(32, &[2]), "0 or 1");
    expect_serialization(patch(SEED, &4u64.to_le_bytes()), "in the body");
    expect_serialization(patch(SEED, &2u64.to_le_bytes()), "more bytes");
    expect_serialization(
        patch(SEED, &u64::MAX.to_le_bytes()),
        "a number of keys of at most 16",
    );
    expect_serialization(patch(first, &2u32.to_le_bytes()), "a kind of key");
    expect_serialization(patch(first + 4, &3u64.to_le_bytes()), "a kind of key");
    expect_serialization(
        patch(first + 12, &5u64.to_le_bytes()),
        "a level of at most 4",
    );
    expect_serialization(patch(first + 24, &[0xff; 8]), "residues below");
    // The second key: where it starts follows from the size of the first.
    let limbs = world.params.level(2).unwrap().gadget().extended();
    let digits = world.params.level(2).unwrap().gadget().digits().len();
    let bits = limbs
        .iter()
        .map(|l| world.params.ring_spec().modulus(l).bits() as usize);
    let second = first + 24 + digits * bits.sum::<usize>() * world.params.n() / 8;
    for element in [0u64, 1, 4, 32, 33, u64::MAX] {
        let result = patch(second + 4, &element.to_le_bytes());
        expect_serialization(result, "Galois elements odd and below 32");
    }
    // Rotation by one is element 5, conjugation 31.
    assert!(
        patch(second + 4, &7u64.to_le_bytes()).is_ok(),
        "another element will do"
    );
    expect_serialization(patch(second + 4, &31u64.to_le_bytes()), "each once");
    let number = frame.bytes[BODY + first + 20..][..4].to_vec();
    expect_serialization(patch(second + 20, &number), "number of its own");
}

#[test]
fn ciphertexts_are_checked() {
    let world = World::new(1);
    let frame = reader(&world, "ciphertext.rlc");
    let patch = |at: usize, new: &[u8]| (frame.read)(&patched(&frame.bytes, at, new), LIMIT);
    expect_serialization(patch(0, &5u64.to_le_bytes()), "a level of at most 4");
    assert!(
        patch(0, &1u64.to_le_bytes()).is_err(),
        "other limbs, another size"
    );
    expect_serialization(patch(8, &[0]), "power 1 or 2");
    expect_serialization(patch(8, &[3]), "power 1 or 2");
    expect_serialization(patch(9, &[0xff; 8]), "residues below");
    let frame = reader(&world, "vectors.rlc");
    let patch = |at: usize, new: &[u8]| (frame.read)(&patched(&frame.bytes, at, new), LIMIT);
    for (at, value) in [
        (8, 2u64),
        (8, 3),
        (8, 8),
        (16, 8),
        (16, 3),
        (24, 1),
        (24, 4),
    ] {
        expect_serialization(patch(at, &value.to_le_bytes()), "a packing into 8 slots");
    }
    // A length of zero announces a spread: the fields behind are read as one.
    expect_serialization(patch(0, &0u64.to_le_bytes()), "a width of at most 8");
    expect_serialization(patch(0, &9u64.to_le_bytes()), "more bytes in the body");
    expect_serialization(patch(0, &u64::MAX.to_le_bytes()), "a length of at most");
    expect_serialization(
        patch(32, &3u64.to_le_bytes()),
        "a number of vectors of at most 2",
    );
    let error = patch(32, &0u64.to_le_bytes()).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
}

#[test]
fn public_programs_are_checked() {
    let world = World::new(1);
    let frame = reader(&world, "public_program.rlp");
    let text = String::from_utf8(frame.bytes[BODY + 8..frame.bytes.len() - 32].to_vec()).unwrap();
    let read = |text: &str| {
        let mut bytes = frame.bytes[..BODY].to_vec();
        bytes[80..88].copy_from_slice(&(text.len() as u64 + 8).to_le_bytes());
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&[0; 32]);
        seal(&mut bytes);
        (frame.read)(&bytes, LIMIT)
    };
    assert!(read(&text).is_ok());
    for (from, to, words) in [
        ("{\"params\"", "{ \"params\"", "in its one form"),
        ("{\"params\"", "{\"x\":1,\"params\"", "in its one form"),
        ("{\"params\"", "[\"params\"", "a public program"),
        ("\"period\":4", "\"period\":3", "a packing into 8 slots"),
        (
            "\"length\":3",
            "\"length\":1152921504606846976",
            "a packing into 8 slots",
        ),
        ("\"length\":3", "\"length\":-1", "a public program"),
        ("\"width\":4", "\"width\":0", "a packing into 8 slots"),
        ("\"input_level\":4", "\"input_level\":3", "level by level"),
        ("\"level_out\":3", "\"level_out\":4", "level by level"),
        (
            "\"relinearisation\":3",
            "\"relinearisation\":5",
            "keys for level 4 or below",
        ),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        expect_serialization(read(&text.replacen(from, to, 1)), words);
    }
    let widths = text.replacen("{\"prime\":", "{\"bits\":", 1);
    assert!(read(&widths).is_err());
    let deep = "[".repeat(100_000);
    expect_serialization(read(&deep), "a public program");
}

#[test]
fn programs_fit_together() {
    let world = World::new(1);
    let frame = reader(&world, "program.rlp");
    let public = u64::from_le_bytes(frame.bytes[BODY..BODY + 8].try_into().unwrap()) as usize;
    // After the public part: kind (1), rows (8), step (8), weights.
    let first = 8 + public;
    let patch = |at: usize, new: &[u8]| (frame.read)(&patched(&frame.bytes, at, new), LIMIT);
    expect_serialization(patch(first, &[4]), "a known kind of step");
    assert!(patch(first, &[2]).is_err(), "a matrix read as a polynomial");
    expect_serialization(
        patch(first + 1, &u64::MAX.to_le_bytes()),
        "a number of rows",
    );
    expect_serialization(patch(first + 17, &f64::NAN.to_le_bytes()), "finite");
    expect_serialization(patch(first + 17, &f64::INFINITY.to_le_bytes()), "finite");
    assert!(patch(first + 17, &(-0.25f64).to_le_bytes()).is_ok());
    for step in [0u64, 3, 1 << 40] {
        assert!(
            patch(first + 9, &step.to_le_bytes()).is_err(),
            "step {step}"
        );
    }
    // The plan is the stored one, not one searched anew: another step needs other rotations.
    let wide = frames::wide(&world.params).to_bytes().unwrap();
    let public = u64::from_le_bytes(wide[BODY..BODY + 8].try_into().unwrap()) as usize;
    let step = 8 + public + 9;
    assert_eq!(wide[BODY + step..][..8], 4u64.to_le_bytes());
    let bytes = patched(&wide, step, &8u64.to_le_bytes());
    let result = Program::from_bytes(&bytes, &Security::AllowInsecure, LIMIT).map(|_| Vec::new());
    expect_serialization(result, "a request for all keys in use");
}

/// A stream that says it has much and has little.
struct Drip<'a>(&'a [u8], io::ErrorKind);

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else {
            return Err(io::Error::new(self.1, "gone"));
        };
        let Some(out) = out.first_mut() else {
            return Ok(0);
        };
        (*out, self.0) = (*first, rest);
        Ok(1)
    }
}

#[test]
fn slow_and_failing_sources() {
    let world = World::new(1);
    let bytes = world.public.to_bytes().unwrap();
    let mut drip = Drip(&bytes, io::ErrorKind::ConnectionReset);
    let key = PublicKey::read_from(&mut drip, &world.params, LIMIT).unwrap();
    assert!(key == world.public);
    let mut drip = Drip(&bytes[..bytes.len() / 2], io::ErrorKind::ConnectionReset);
    let error = PublicKey::read_from(&mut drip, &world.params, LIMIT).unwrap_err();
    assert!(error.to_string().contains("a readable source"), "{error}");
    let mut full = io::Cursor::new([0u8; 100]);
    let error = world.public.write_to(&mut full).unwrap_err();
    assert!(matches!(error, Error::Serialization { .. }), "{error}");
}
