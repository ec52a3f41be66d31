//! `FheUint8` of tfhe-rs through a 16x16 layer of integers and back: from committed vectors, and
//! with a live process of tfhe-rs.

use std::{
    env, fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
};

use ringloom::{
    Error, open_device,
    rlwe::SecureRandom,
    serial::{Decode, Encode},
    tfhe::{
        Failure, IntMatrix, LookUpTable, LweBatch, TfheKeys, TfheParams, TfheSecretKey,
        TfheSession,
        exchange::{
            ExportKey, ImportKey, SeededExportKey, SeededImportKey, TfheRsBatch, TfheRsSecret,
            TfheRsSet, TfheRsType,
        },
    },
};

const SET: &str = "V1_7_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128";
const KEY: [u8; 32] = [9; 32];
const LIMIT: u64 = 1 << 20;
const VALUES: [u64; 4] = [228, 27, 201, 77];

/// Both clients' secrets, the keys of a server, and the blocks of four integers.
struct Exchange {
    ours: TfheSecretKey,
    theirs: TfheRsSecret,
    keys: TfheKeys,
    seeded: SeededImportKey,
    import: ImportKey,
    export: ExportKey,
    blocks: TfheRsBatch,
}

impl Exchange {
    fn new(params: &TfheParams, secret: &[u64], words: Vec<u64>) -> Self {
        let set = TfheRsSet::named(SET).unwrap();
        let theirs = TfheRsSecret::new(&set, KEY, secret).unwrap();
        let device = open_device("cpu", None).unwrap();
        let session = TfheSession::new(params, &*device).unwrap();
        let mut random = SecureRandom::insecure_from_seed([3; 32]);
        let ours = TfheSecretKey::generate_with(&session, &mut random).unwrap();
        let seeded = ours.server_keys_with(&mut random, &mut |_, _| ControlFlow::Continue(()));
        // As a server gets them: out of files.
        let (import, export) = (
            ours.import_key_with(&theirs, &mut random).unwrap(),
            ours.export_key_with(&theirs, &mut random).unwrap(),
        );
        let context = (params.clone(), set.clone());
        let (import, export) = (import.to_bytes().unwrap(), export.to_bytes().unwrap());
        let import = SeededImportKey::from_bytes(&import, &context, LIMIT).unwrap();
        let export = SeededExportKey::from_bytes(&export, &context, LIMIT).unwrap();
        Self {
            keys: TfheKeys::load(&session, &seeded.unwrap()).unwrap(),
            import: ImportKey::load(&session, &import).unwrap(),
            seeded: import,
            export: ExportKey::load(&export),
            blocks: TfheRsBatch::new(&set, KEY, (3, 1), words).unwrap(),
            ours,
            theirs,
        }
    }

    fn committed(params: &TfheParams) -> Self {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data/tfhe_rs"]
            .iter()
            .collect();
        let bytes = fs::read(path.join("fheuint8.bin")).unwrap();
        let (secret, words) = bytes.split_at(2048);
        let secret: Vec<u64> = secret.iter().map(|&bit| bit.into()).collect();
        Self::new(params, &secret, le_words(words))
    }

    /// The layer on imported blocks: `(W x) mod 4`, by a look-up before it and one after it.
    fn layer(&self) -> LweBatch {
        let session = self.keys.session();
        let small = self.import.import(&self.blocks).unwrap();
        let same = LookUpTable::new(session, 0..=3, |v| v).unwrap();
        let x = self.keys.bootstrap(&small, &same).unwrap();
        let sums = x
            .mat_mul(&IntMatrix::new((16, 16), 4, weights()).unwrap())
            .unwrap();
        let modulo = LookUpTable::new(session, sums.range(), |v| v.rem_euclid(4)).unwrap();
        self.keys.look_up(&sums, &modulo).unwrap()
    }
}

fn le_words(bytes: &[u8]) -> Vec<u64> {
    let words = bytes.as_chunks().0.iter();
    words.map(|bytes| u64::from_le_bytes(*bytes)).collect()
}

/// Three ones and one -1 in each row, in places that may coincide: sums of values up to 3 lie in -3
/// to 9.
fn weights() -> Vec<i64> {
    let mut weights = vec![0; 256];
    for row in 0..16 {
        for (column, weight) in [
            (row, 1),
            (5 * row + 3, 1),
            (3 * row + 2, 1),
            (7 * row + 1, -1),
        ] {
            weights[16 * row + column % 16] += weight;
        }
    }
    weights
}

/// The layer in the clear, on integers of four blocks of two bits.
fn clear(values: &[u64]) -> Vec<u64> {
    let blocks = values
        .iter()
        .flat_map(|v| (0..4).map(move |i| (v >> (2 * i) & 3) as i64));
    let (x, w): (Vec<i64>, _) = (blocks.collect(), weights());
    let sums = w
        .chunks_exact(16)
        .map(|row| row.iter().zip(&x).map(|(w, x)| w * x).sum::<i64>());
    let y: Vec<u64> = sums.map(|sum| sum.rem_euclid(4) as u64).collect();
    let integers = y
        .chunks_exact(4)
        .map(|b| b[0] | b[1] << 2 | b[2] << 4 | b[3] << 6);
    integers.collect()
}

fn integers(blocks: &[u64]) -> Vec<u64> {
    let integers = blocks
        .chunks_exact(4)
        .map(|b| b[0] + (b[1] << 2) + (b[2] << 4) + (b[3] << 6));
    integers.collect()
}

/// tfhe-rs's set as it is, ours without security, so that keys are small.
#[test]
fn a_layer_on_integers_of_tfhe_rs() {
    layer_of_committed_blocks(&TfheParams::insecure_toy(&super::TOY_FOUR).unwrap());
}

#[test]
#[ignore = "full size; make test-long"]
fn a_layer_on_integers_of_tfhe_rs_at_full_size() {
    layer_of_committed_blocks(&TfheParams::new(4, Failure::Below128).unwrap());
}

fn layer_of_committed_blocks(params: &TfheParams) {
    let exchange = Exchange::committed(params);
    let blocks = exchange.theirs.decrypt(&exchange.blocks).unwrap();
    assert_eq!(integers(&blocks), VALUES);
    let small = exchange.import.import(&exchange.blocks).unwrap();
    assert_eq!((small.len(), small.range()), (16, 0..=3));
    let got = exchange.ours.decrypt_small(&small).unwrap();
    assert!(got.iter().zip(&blocks).all(|(&a, &b)| a as u64 == b));

    let phases = exchange.ours.small_phases(&small).unwrap();
    for device in ["cpu-scalar", "cpu-avx2"] {
        // The second is not on every machine.
        let Ok(device) = open_device(device, None) else {
            continue;
        };
        let session = TfheSession::new(exchange.ours.session().params(), &*device).unwrap();
        let import = ImportKey::load(&session, &exchange.seeded).unwrap();
        let small = import.import(&exchange.blocks).unwrap();
        assert_eq!(exchange.ours.small_phases(&small).unwrap(), phases);
    }

    let layer = exchange.layer();
    let out = exchange.export.export(&layer).unwrap();
    assert_eq!((out.degree(), out.noise_level(), out.len()), (3, 1, 16));
    let decrypted = exchange.theirs.decrypt(&out).unwrap();
    assert_eq!(integers(&decrypted), clear(&VALUES));

    // Noise: what tfhe-rs's own look-ups have, and its published failure probability with it.
    let noise = out.set().noise();
    let (limit, norm) = (out.set().log2_failure(), 5.0 * 5.0);
    assert!(noise.log2_failure_of(norm * out.variance()) <= limit + 0.2);
    let errors = exchange.theirs.phases(&out).unwrap();
    let errors = errors
        .iter()
        .zip(&decrypted)
        .map(|(&phase, &value)| phase.wrapping_sub(value << 59) as i64 as f64 / 64f64.exp2());
    let square = errors.map(|e| e * e).sum::<f64>() / 16.0;
    let ratio = square / layer.variance();
    // 16 samples: a factor of 3 is 4.5 standard deviations away.
    assert!((1.0 / 9.0..3.0).contains(&ratio), "variance ratio {ratio}");
}

#[test]
fn what_does_not_fit_is_refused_with_a_remedy() {
    let text = |error: Error| {
        let text = error.to_string();
        assert!(text.contains("expected") && text.contains("got"), "{text}");
        text
    };
    let unknown = TfheRsSet::named("V1_3_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128");
    assert!(text(unknown.unwrap_err()).contains("version of a set"));
    let unknown = TfheRsSet::named("V1_8_PARAM_MESSAGE_3_CARRY_3_KS_PBS_TUNIFORM_2M128");
    assert!(text(unknown.unwrap_err()).contains("MESSAGE_2_CARRY_2"));
    for name in ["", "_PARAM_", "V1_8_PARAM_\u{e9}"] {
        assert!(TfheRsSet::named(name).is_err());
    }
    let set = TfheRsSet::named(SET).unwrap();
    let mut other = *set.literal();
    assert_eq!(TfheRsSet::from_literal(&other).unwrap(), set);
    other.lwe_dimension += 1;
    assert!(text(TfheRsSet::from_literal(&other).unwrap_err()).contains("tfhe-rs 1.4 to 1.8"));
    let small = TfheRsSet::named("V1_4_PARAM_MESSAGE_1_CARRY_1_KS_PBS_TUNIFORM_2M128").unwrap();

    let bits = vec![1; 2048];
    assert!(text(TfheRsSecret::new(&set, KEY, &bits[1..]).unwrap_err()).contains("2048"));
    let mut wide = bits.clone();
    wide[5] = 12345;
    let refused = text(TfheRsSecret::new(&set, KEY, &wide).unwrap_err());
    assert!(
        refused.contains("large_lwe_secret_key") && !refused.contains("12345"),
        "{refused}"
    );

    let words = vec![0; 2049];
    let batch = |set: &TfheRsSet, key, degree, words: &[u64]| {
        TfheRsBatch::new(set, key, degree, words.to_vec())
    };
    for wrong in [&words[1..], &[]] {
        assert!(matches!(
            batch(&set, KEY, (3, 1), wrong),
            Err(Error::Shape { .. })
        ));
    }
    assert!(matches!(
        batch(&set, KEY, (16, 1), &words),
        Err(Error::MessageRange { .. })
    ));
    let refused = text(batch(&set, KEY, (3, 6), &words).unwrap_err());
    assert!(refused.contains("look the ciphertexts up"), "{refused}");

    // Keys and sets that do not belong together; a toy of ours is enough.
    let params = TfheParams::insecure_toy(&super::TOY_FOUR).unwrap();
    let mut party = super::Party::new(&params, 4);
    let theirs = TfheRsSecret::new(&set, KEY, &bits).unwrap();
    assert!(!format!("{theirs:?}").contains('1') || format!("{theirs:?}").len() < 120);
    let narrow = TfheRsSecret::new(&small, KEY, &bits).unwrap();
    let refused = text(party.secret.import_key(&narrow).unwrap_err());
    assert!(refused.contains("message bits"), "{refused}");
    assert!(party.secret.export_key(&narrow).is_err());
    let seeded = party.secret.import_key(&theirs).unwrap();
    let import = ImportKey::load(&party.session, &seeded).unwrap();
    let stranger = batch(&set, [1; 32], (3, 1), &words).unwrap();
    assert!(matches!(
        import.import(&stranger),
        Err(Error::KeyMismatch { .. })
    ));
    assert!(matches!(
        theirs.decrypt(&stranger),
        Err(Error::KeyMismatch { .. })
    ));
    let other = batch(&small, KEY, (1, 1), &words).unwrap();
    assert!(matches!(
        import.import(&other),
        Err(Error::ParamsMismatch { .. })
    ));
    let elsewhere = super::Party::toy(&super::TOY);
    let refused = ImportKey::load(&elsewhere.session, &seeded);
    assert!(matches!(refused, Err(Error::ParamsMismatch { .. })));

    let export = ExportKey::load(&party.secret.export_key(&theirs).unwrap());
    let negative = party.encrypt(&[-1], -1..=3);
    let refused = text(export.export(&negative).unwrap_err());
    assert!(refused.contains("0 to 15"), "{refused}");
    let theirs_now = elsewhere.secret.encrypt(&[1], 0..=3).unwrap();
    assert!(matches!(
        export.export(&theirs_now),
        Err(Error::ParamsMismatch { .. })
    ));
    let mut third = super::Party::new(&params, 5);
    let foreign = third.encrypt(&[1], 0..=3);
    assert!(matches!(
        export.export(&foreign),
        Err(Error::KeyMismatch { .. })
    ));
    let loud = party.encrypt(&[0], 0..=0).scale(1 << 38).unwrap();
    assert!(matches!(export.export(&loud), Err(Error::Precision { .. })));
}

/// Keys in files: for one set of tfhe-rs and one of ours, whole, and of the right kind.
#[test]
fn files_of_exchange_keys_are_checked() {
    let params = TfheParams::insecure_toy(&super::TOY_FOUR).unwrap();
    let party = super::Party::new(&params, 4);
    let set = TfheRsSet::named(SET).unwrap();
    let theirs = TfheRsSecret::new(&set, KEY, &vec![1; 2048]).unwrap();
    let import = party
        .secret
        .import_key(&theirs)
        .unwrap()
        .to_bytes()
        .unwrap();
    let export = party
        .secret
        .export_key(&theirs)
        .unwrap()
        .to_bytes()
        .unwrap();
    let mut literal = *set.literal();
    literal.lwe_dimension -= 1;
    let near = TfheRsSet::insecure_toy(&literal, (24, 1)).unwrap();
    let other = TfheParams::insecure_toy(&super::TOY).unwrap();
    let read = |bytes: &[u8], params: &TfheParams, set: &TfheRsSet| {
        let context = (params.clone(), set.clone());
        let import = SeededImportKey::from_bytes(bytes, &context, LIMIT).map(|_| ());
        let export = SeededExportKey::from_bytes(bytes, &context, LIMIT).map(|_| ());
        [import, export]
    };
    for (kind, bytes) in [import, export].iter().enumerate() {
        let good = read(bytes, &params, &set);
        assert!(good[kind].is_ok() && good[1 - kind].is_err());
        let refused = read(bytes, &params, &near)[kind].clone().unwrap_err();
        assert!(
            refused.to_string().contains("a key for tfhe-rs"),
            "{refused}"
        );
        let refused = read(bytes, &other, &set)[kind].clone();
        assert!(matches!(refused, Err(Error::ParamsMismatch { .. })));
        for damage in [&bytes[..bytes.len() - 1], &bytes[..40], &[]] {
            assert!(read(damage, &params, &set)[kind].is_err());
        }
        let mut flipped = bytes.clone();
        flipped[300] ^= 1;
        assert!(read(&flipped, &params, &set)[kind].is_err());
    }
}

/// Runs the process of tfhe-rs whose script the environment names.
fn tfhe_rs(script: &str, command: &str, folder: &Path) -> Vec<u64> {
    let output = Command::new("node")
        .args([script, command])
        .arg(folder)
        .output();
    let output = output.expect("node runs");
    let (text, errors) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8_lossy(text);
    text.split_whitespace()
        .map(|value| value.parse().unwrap())
        .collect()
}

#[test]
#[ignore = "needs tfhe-rs; make test-tfhe"]
fn a_live_process_of_tfhe_rs_encrypts_and_decrypts() {
    let Ok(script) = env::var("RINGLOOM_TFHE_RS") else {
        eprintln!("RINGLOOM_TFHE_RS names no script: not run here");
        return;
    };
    let folder: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "tfhe_rs"].iter().collect();
    fs::create_dir_all(&folder).unwrap();
    let values = tfhe_rs(&script, "make", &folder);
    let read = |name| le_words(&fs::read(folder.join(name)).unwrap());
    let params = TfheParams::new(4, Failure::Below128).unwrap();
    let exchange = Exchange::new(&params, &read("secret.bin"), read("words.bin"));
    let out = exchange.export.export(&exchange.layer()).unwrap();
    let words = out
        .ciphertexts()
        .flatten()
        .flat_map(|word| word.to_le_bytes());
    fs::write(folder.join("results.bin"), words.collect::<Vec<_>>()).unwrap();
    assert_eq!(tfhe_rs(&script, "decrypt", &folder), clear(&values));
    eprintln!("tfhe-rs decrypts {:?} of {values:?}", clear(&values));
}

fn serialised(name: &str) -> Vec<u8> {
    let folder = [env!("CARGO_MANIFEST_DIR"), "tests/data/tfhe_rs/serialised"];
    fs::read(folder.iter().collect::<PathBuf>().join(name)).unwrap()
}

/// What tfhe-rs's `safe_serialize` wrote, through a look-up, and written as its reader takes it.
#[test]
fn serialised_ciphertexts_of_tfhe_rs() {
    let theirs = TfheRsSecret::from_client_key(KEY, &serialised("client_key.bin")).unwrap();
    let set = theirs.set().clone();
    assert_eq!(set, TfheRsSet::named(SET).unwrap());
    let read = |name| TfheRsBatch::from_serialised(&set, KEY, &serialised(name)).unwrap();
    let (kind, number) = read("fheuint8.bin");
    assert_eq!((kind, number.len()), (TfheRsType::Uint, 4));
    assert_eq!((number.degree(), number.noise_level()), (3, 1));
    assert_eq!(integers(&theirs.decrypt(&number).unwrap()), [228]);
    let (kind, bit) = read("fhebool.bin");
    assert_eq!((kind, bit.degree()), (TfheRsType::Bool, 1));
    assert_eq!(theirs.decrypt(&bit).unwrap(), [1]);

    // The same bytes, but for the older version and the empty metadata that came after it.
    for (name, batch, kind) in [
        ("fheuint8.bin", &number, TfheRsType::Uint),
        ("fhebool.bin", &bit, TfheRsType::Bool),
    ] {
        let (written, mut bytes) = (batch.to_serialised(kind).unwrap(), serialised(name));
        bytes.truncate(bytes.len() - 12);
        bytes[26 + 8 + kind.name().len()] = 1;
        assert!(written == bytes, "{name}");
        let (again, same) = TfheRsBatch::from_serialised(&set, KEY, &written).unwrap();
        assert!(again == kind && same.ciphertexts().eq(batch.ciphertexts()));
    }
    let one = bit.to_serialised(TfheRsType::Shortint).unwrap();
    let (kind, block) = TfheRsBatch::from_serialised(&set, KEY, &one).unwrap();
    assert!(kind == TfheRsType::Shortint && block.ciphertexts().eq(bit.ciphertexts()));

    let params = TfheParams::insecure_toy(&super::TOY_FOUR).unwrap();
    assert_eq!(TfheRsSet::for_params(&params).unwrap(), set);
    let party = super::Party::new(&params, 6);
    let import = party.secret.import_key(&theirs).unwrap();
    let import = ImportKey::load(&party.session, &import).unwrap();
    let export = ExportKey::load(&party.secret.export_key(&theirs).unwrap());
    let small = import
        .import(&TfheRsBatch::concat(&[&number, &bit]).unwrap())
        .unwrap();
    let table = LookUpTable::new(&party.session, 0..=3, |v| 3 - v).unwrap();
    let out = party.keys.bootstrap(&small, &table).unwrap();
    let parts: Vec<_> = export.export(&out).unwrap().chunks(4).collect();
    let bytes = parts[0].to_serialised(TfheRsType::Int).unwrap();
    let (kind, inverted) = TfheRsBatch::from_serialised(&set, KEY, &bytes).unwrap();
    assert_eq!(kind, TfheRsType::Int);
    assert_eq!(
        integers(&theirs.decrypt(&inverted).unwrap()),
        [!228u8 as u64]
    );
    assert_eq!(theirs.decrypt(&parts[1]).unwrap(), [2]);

    // What integers of tfhe-rs do not hold.
    assert!(matches!(
        parts[0].to_serialised(TfheRsType::Bool),
        Err(Error::Shape { .. })
    ));
    let wide = TfheRsBatch::new(&set, KEY, (4, 1), vec![0; 2049]).unwrap();
    let refused = wide.to_serialised(TfheRsType::Uint);
    assert!(matches!(refused, Err(Error::MessageRange { .. })));
    let loud = TfheRsBatch::new(&set, KEY, (1, 2), vec![0; 2049]).unwrap();
    let refused = loud.to_serialised(TfheRsType::Bool).unwrap_err();
    assert!(
        refused.to_string().contains("look the values up"),
        "{refused}"
    );
    assert!(loud.to_serialised(TfheRsType::Shortint).is_ok());
    assert!(TfheRsBatch::concat(&[]).is_err());
    for (name, kind) in [
        ("FheUint8", TfheRsType::Uint),
        ("shortint::Ciphertext", TfheRsType::Shortint),
    ] {
        assert_eq!(TfheRsType::named(name).unwrap(), kind);
    }
    assert!(TfheRsType::named("CompressedFheUint").is_err());
}

#[test]
fn damaged_bytes_of_tfhe_rs_are_refused() {
    let set = TfheRsSet::named(SET).unwrap();
    let (key, bit) = (serialised("client_key.bin"), serialised("fhebool.bin"));
    let secret = |bytes: &[u8]| TfheRsSecret::from_client_key(KEY, bytes).map(|_| ());
    let batch = |bytes: &[u8]| TfheRsBatch::from_serialised(&set, KEY, bytes).map(|_| ());
    let refused = |error: Error| {
        let text = error.to_string();
        assert!(text.contains("expected") && text.contains("got"), "{text}");
        text
    };
    assert!(refused(batch(&key).unwrap_err()).contains("FheUint"));
    assert!(refused(secret(&bit).unwrap_err()).contains("ClientKey"));
    // Every length, in the ciphertext all of it and in the key what is read of it.
    for length in (0..bit.len()).filter(|l| *l < 120 || *l % 97 == 0 || *l > bit.len() - 130) {
        assert!(
            matches!(batch(&bit[..length]), Err(Error::Serialization { .. })),
            "{length}"
        );
    }
    for length in (0..24_050).filter(|l| *l < 120 || *l % 97 == 0 || *l > 23_840) {
        assert!(
            matches!(secret(&key[..length]), Err(Error::Serialization { .. })),
            "{length}"
        );
    }
    let mut longer = bit.clone();
    longer.push(0);
    assert!(refused(batch(&longer).unwrap_err()).contains("1 more bytes"));
    // Any byte that is no word of a ciphertext, a degree or a noise level says what is meant.
    let words = 77 + 8..77 + 8 + 8 * 2049;
    let free = words.end + 28..words.end + 28 + 24;
    for at in (0..bit.len()).filter(|at| !words.contains(at) && !free.contains(at)) {
        let mut wrong = bit.clone();
        wrong[at] ^= 0x40;
        assert!(batch(&wrong).is_err(), "{at}");
    }
    // The first bytes behind the words: degree, noise level, moduli, order.
    let wrong = |at: usize, byte: u8| {
        let mut wrong = bit.clone();
        wrong[words.end + at] = byte;
        refused(batch(&wrong).unwrap_err())
    };
    assert!(wrong(28 + 4, 16).contains("degree"));
    assert!(wrong(40 + 4, 6).contains("look the ciphertexts up"));
    assert!(wrong(52 + 4, 2).contains("2 values of a message"));
    assert!(wrong(76 + 4, 1).contains("key-switch modulo 2^32"));
    assert!(wrong(76 + 12, 1).contains("look-up first"));
    let small = TfheRsSet::named("V1_8_PARAM_MESSAGE_1_CARRY_1_KS_PBS_TUNIFORM_2M128").unwrap();
    let other = TfheRsBatch::from_serialised(&small, KEY, &bit);
    assert!(matches!(other, Err(Error::ParamsMismatch { .. })));
    // A set of another dimension, one with several key bits per step, Gaussian noise.
    let parameters = 23_851;
    for (at, byte, error) in [
        (12 + 4, 0x95, "TUNIFORM"),
        (4, 1, "key bits"),
        (52, 0, "Gaussian"),
    ] {
        let mut wrong = key.clone();
        wrong[parameters + at] = byte;
        let text = refused(secret(&wrong).unwrap_err());
        assert!(text.contains(error), "{at}: {text}");
    }
    let mut wide = key.clone();
    wide[99 + 8 * 5] = 7;
    assert!(matches!(secret(&wide), Err(Error::InvalidParams { .. })));
}
