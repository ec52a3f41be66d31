//! Fuzz targets for every decoder of [`ringloom::serial`], one for decoders of like things, and one for the
//! bytes of tfhe-rs; scripts/fuzz.sh builds and runs them.
//!
//! The first byte of an input chooses: even, the rest is a frame; odd, the rest is a body that gets
//! the right header and the right checksum, so that mutations reach what lies behind them. Its upper
//! bits choose among the decoders of a target. Bytes of tfhe-rs have no frame: its lowest bit says nothing there.
//!
//! Whatever decodes must encode to the same bytes (of an older version, to bytes that do). Anything else may be refused, but never with a
//! panic.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf, sync::OnceLock};

use ringloom::{
    Params, SecretKey, Session,
    serial::{Decode, Encode, Kind, Security},
    tfhe::{TfheLiteral, TfheParams, TfheSession},
};

const HEADER: usize = 88;
const LIMIT: u64 = 1 << 20;
const PARAMS: &[u8] = include_bytes!("../../core/tests/data/serial-v1/params.rlp");

/// The parameters of the fixtures.
pub fn params() -> &'static Params {
    static PARAMS_OF_FIXTURES: OnceLock<Params> = OnceLock::new();
    PARAMS_OF_FIXTURES.get_or_init(|| {
        Params::from_bytes(PARAMS, &Security::AllowInsecure, LIMIT).expect("the fixture is good")
    })
}

/// A session on them.
pub fn session() -> &'static Session {
    static SESSION: OnceLock<Session> = OnceLock::new();
    SESSION.get_or_init(|| {
        let device = ringloom_ntt::reference::ReferenceDevice::new();
        Session::new(params(), &device).expect("the reference takes any ring")
    })
}

/// The set of the fixtures of encrypted integers.
const TOY: TfheLiteral = TfheLiteral {
    message_bits: 2,
    norm: 1,
    lwe_dimension: 2,
    lwe_noise_log: 4,
    group: 1,
    masks: 2,
    log_n: 4,
    mask_digits: (24, 1),
    body_digits: (24, 1),
    switch_digits: (6, 2),
};

/// The set of the fixture of an encrypted network, which looks up.
pub fn networks() -> &'static TfheParams {
    static NETWORKS: OnceLock<TfheParams> = OnceLock::new();
    NETWORKS.get_or_init(|| {
        let literal = TfheLiteral {
            masks: 1,
            log_n: 5,
            ..TOY
        };
        TfheParams::insecure_toy(&literal).expect("the fixture's set is good")
    })
}

/// A session of look-ups for the fixtures.
pub fn tfhe() -> &'static TfheSession {
    static TFHE: OnceLock<TfheSession> = OnceLock::new();
    TFHE.get_or_init(|| {
        let params = TfheParams::insecure_toy(&TOY).expect("the fixture's set is good");
        let device = ringloom_ntt::reference::ReferenceDevice::new();
        TfheSession::new(&params, &device).expect("the reference takes any ring")
    })
}

/// Which of a target's `count` decoders an input is for: the upper bits of its first byte.
pub fn which(input: &[u8], count: u8) -> u8 {
    input.first().map_or(0, |mode| mode / 2 % count)
}

/// The frame that an input stands for.
fn frame(kind: Kind, input: &[u8]) -> Option<Vec<u8>> {
    let (mode, rest) = input.split_first()?;
    if mode % 2 == 0 {
        return Some(rest.to_vec());
    }
    let secret = kind == Kind::SecretKey;
    let keyed = !matches!(
        kind,
        Kind::Params | Kind::Program | Kind::PublicProgram | Kind::IntNetwork
    );
    let mut frame = Vec::with_capacity(HEADER + rest.len() + 32);
    frame.extend_from_slice(if secret { b"RLSECRET" } else { b"RINGLOOM" });
    frame.extend_from_slice(&kind.code().to_le_bytes());
    frame.extend_from_slice(&kind.version().to_le_bytes());
    let id = match kind {
        Kind::TfheKeys
        | Kind::LweBatch
        | Kind::SeededLweBatch
        | Kind::GlweBatch
        | Kind::PackingKey => tfhe().params().id(),
        Kind::EncryptedIntNetwork | Kind::IntNetwork => networks().id(),
        _ => params().id(),
    };
    frame.extend_from_slice(id.as_bytes());
    frame.extend_from_slice(&[u8::from(keyed); 32]);
    frame.extend_from_slice(&(rest.len() as u64).to_le_bytes());
    frame.extend_from_slice(rest);
    let hash = blake3::hash(&frame);
    frame.extend_from_slice(hash.as_bytes());
    Some(frame)
}

/// Decodes an input; what decodes must encode to the same bytes, if it has the version that is written. Gives the value for more checks.
pub fn decode<T: Decode + Encode>(kind: Kind, context: &T::Context, input: &[u8]) -> Option<T> {
    let frame = frame(kind, input)?;
    match T::from_bytes(&frame, context, LIMIT) {
        Ok(value) => {
            let again = value.to_bytes().expect("what decodes can be encoded");
            if frame[12..16] == kind.version().to_le_bytes() {
                assert!(again == frame, "two encodings of one value");
            } else {
                // Of an older version, which is not written any more.
                let same = T::from_bytes(&again, context, LIMIT).expect("what was written");
                assert!(same.to_bytes().expect("once more") == again, "two encodings of one value");
            }
            Some(value)
        }
        Err(error) => {
            assert!(error.to_string().contains(", expected "), "{error}");
            None
        }
    }
}

/// The same for secret keys, which come out of files only.
pub fn import_secret(input: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let Some(frame) = frame(Kind::SecretKey, input) else {
        return;
    };
    let path = FILE.get_or_init(|| {
        // In memory where possible: an export waits for the disk.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        folder.join(format!("ringloom-fuzz-{}.rls", std::process::id()))
    });
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(path).expect("a temporary file");
    file.write_all(&frame).expect("room for a small file");
    if let Ok(secret) = SecretKey::import_secret(session(), path) {
        fs::remove_file(path).expect("the file is there");
        secret.export_secret(path).expect("the path is free");
        let again = fs::read(path).expect("the file is there");
        assert!(again == frame, "two encodings of one secret");
    }
}
