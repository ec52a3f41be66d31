//! No secret stays behind in memory.
//!
//! A child process makes keys, encrypts and decrypts, drops everything, and holds still while its
//! parent, who knows the secrets, looks for them in all of its memory: live and freed, heap and
//! stacks. Its allocator never gives memory back or out again, so that whatever was in a block when
//! it was freed is still there. The same with a server, which never had the secrets, and with a
//! careless client, in which every one of them must be found.
#![cfg(target_os = "linux")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::{BTreeMap, BTreeSet},
    env, fs,
    hint::black_box,
    io::{BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
};

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use ringloom::{
    Ciphertext, Decryptor, Encryptor, EvaluationKeys, Evaluator, KeyRequest, Params, SecretKey,
    SeededKeys, Session,
    matrix::{CoeffForm, CoeffMatrix, EncryptedVectors, Packing},
    rlwe::SecureRandom,
    serial::{Decode, Encode},
};
use ringloom_ntt::{
    host_fft::{Complex64, SpecialFft},
    poly::{Domain, Shape},
};

/// Frees nothing.
struct Keeping;

// SAFETY: allocation is the system's; a block that is never freed stays valid for ever. The other
// methods are the trait's own, in terms of these two.
unsafe impl GlobalAlloc for Keeping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Keeping = Keeping;

const ROLE: &str = "RINGLOOM_MEMORY_ROLE";
const FOLDER: &str = "RINGLOOM_MEMORY_FOLDER";
const DEVICE: &str = "RINGLOOM_MEMORY_DEVICE";
const LIMIT: u64 = 1 << 24;
/// The level of everything that is encrypted.
const LEVEL: usize = 2;

fn session(device: &str) -> Session {
    let params = Params::insecure_toy(3).unwrap();
    Session::new(&params, &*ringloom::open_device(device, Some(2)).unwrap()).unwrap()
}

/// Seeds that are in no binary.
fn seed(tag: u8) -> [u8; 32] {
    let mut state = black_box(u32::from(tag) + 0x2545_f491);
    std::array::from_fn(|_| {
        state = state.wrapping_mul(0x9e37_79b1).rotate_left(11) ^ 0x5bd1;
        (state >> 13) as u8
    })
}

/// Numbers that are in no binary.
fn message(slots: usize) -> Vec<f64> {
    let step = black_box(0.731_234_567);
    (0..slots)
        .map(|i| ((i + 1) as f64 * step).sin() * 1.75)
        .collect()
}

/// What the client does with its secrets. Leaves files for the server, and the secret's own file
/// for the parent.
fn client(folder: &Path, device: &str) {
    let session = session(device);
    let request = KeyRequest::new()
        .with_relinearisation(3)
        .with_rotation(1, 3)
        .with_conjugation(2);
    let slots = session.params().slots();
    // A caller's own numbers are the caller's to wipe.
    let values = zeroize::Zeroizing::new(message(slots));
    let path = folder.join("secret.rls");
    {
        let mut random = SecureRandom::insecure_from_seed(seed(1));
        let made = SecretKey::generate_with(&session, &mut random).unwrap();
        made.export_secret(&path).unwrap();
    }
    let secret = SecretKey::import_secret(&session, &path).unwrap();
    // Most uniform words of the process are those of keys: the same in every run, so that a needle among
    // them by chance would be there in every run too.
    let mut random = SecureRandom::insecure_from_seed(seed(4));
    let public = secret.public_key_with(&mut random).unwrap();
    let progress = &mut ringloom::no_progress;
    let keys = (secret.evaluation_keys_with(&request, &mut random, progress)).unwrap();
    keys.save(&folder.join("keys.rlk")).unwrap();
    let encryptor = Encryptor::new(&session, &public).unwrap();
    let decryptor = Decryptor::new(&secret);
    let mut random = SecureRandom::insecure_from_seed(seed(2));
    let ct = encryptor
        .encrypt_with(&*values, LEVEL, &mut random)
        .unwrap();
    ct.save(&folder.join("ciphertext.rlc")).unwrap();
    let mut random = SecureRandom::insecure_from_seed(seed(3));
    let own = secret.encrypt_with(&*values, LEVEL, &mut random).unwrap();

    let wiped = |values: Vec<f64>| assert!(zeroize::Zeroizing::new(values)[0] != 0.0);
    wiped(decryptor.decrypt(&ct).unwrap());
    wiped(decryptor.decrypt(&own).unwrap());
    wiped(decryptor.decrypt_rounded(&ct, 20).unwrap());
    let packing = Packing::new(slots, 16, 16).unwrap();
    let batch = EncryptedVectors::encrypt(&encryptor, packing, &[&values[..16]], LEVEL).unwrap();
    batch
        .decrypt(&decryptor)
        .unwrap()
        .into_iter()
        .for_each(wiped);
    let shape = (1, slots);
    for form in [CoeffForm::Rows, CoeffForm::Columns] {
        let part = if form == CoeffForm::Rows {
            shape
        } else {
            (4, 4)
        };
        let part_values = &values[..part.0 * part.1];
        let matrix = CoeffMatrix::encrypt(&encryptor, form, part, part_values, LEVEL, 30).unwrap();
        wiped(matrix.decrypt(&decryptor).unwrap());
        let matrix =
            CoeffMatrix::encrypt_under(&secret, form, part, part_values, LEVEL, 30).unwrap();
        wiped(matrix.decrypt(&decryptor).unwrap());
    }
    let keys = EvaluationKeys::load(&session, &keys).unwrap();
    let sum = Evaluator::new(keys.into()).rotate(&ct, 1).unwrap();
    wiped(decryptor.decrypt(&sum).unwrap());
}

/// What the server does without them.
fn server(folder: &Path, device: &str) {
    let session = session(device);
    let keys = SeededKeys::load(&folder.join("keys.rlk"), session.params(), LIMIT).unwrap();
    let keys = EvaluationKeys::load(&session, &keys).unwrap();
    let ct = Ciphertext::load(&folder.join("ciphertext.rlc"), &session, LIMIT).unwrap();
    let evaluator = Evaluator::new(keys.into());
    let turned = evaluator.rotate(&ct, 1).unwrap();
    let sum = evaluator.add(&ct, &turned).unwrap();
    sum.save(&folder.join("sum.rlc")).unwrap();
}

/// The secrets in all their forms, as bytes to look for.
fn needles(folder: &Path, device: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let session = session(device);
    let (params, ring) = (session.params(), session.ring());
    let (n, slots) = (params.n(), params.slots());
    let mut all = BTreeMap::new();
    let limbs = params.ring_spec().all_limbs();
    let places = [0, n / 2, n - 64];
    let mut small = |name: &str, coeffs: &[i8]| {
        let runs = |bytes: Vec<u8>, size: usize| {
            let at = places.map(|p| bytes[p * size..][..64].to_vec());
            at.to_vec()
        };
        let bytes = coeffs.iter().map(|&c| c as u8).collect();
        all.insert(format!("{name}, bytes"), runs(bytes, 1));
        let wide = coeffs.iter().flat_map(|&c| i64::from(c).to_le_bytes());
        all.insert(format!("{name}, words"), runs(wide.collect(), 8));
        let mut words = Vec::new();
        for limb in limbs.iter() {
            let q = params.ring_spec().modulus(limb).value();
            words.extend(
                coeffs
                    .iter()
                    .map(|&c| i64::from(c).rem_euclid(q as i64) as u64),
            );
        }
        let rows = words.chunks_exact(n).flat_map(|row| {
            let bytes: Vec<u8> = row.iter().flat_map(|w| w.to_le_bytes()).collect();
            runs(bytes, 8)
        });
        all.insert(format!("{name}, residues"), rows.collect());
        all.insert(
            format!("{name}, transformed"),
            transformed(&session, &words),
        );
    };

    // The secret, out of the file that the child left: two bits a coefficient, plus one.
    let file = fs::read(folder.join("secret.rls")).unwrap();
    let packed = &file[88..file.len() - 32];
    let pairs = packed
        .iter()
        .flat_map(|b| (0..4).map(move |i| (b >> (2 * i) & 3) as i8 - 1));
    let secret: Vec<i8> = pairs.collect();
    assert_eq!(secret.len(), n);
    small("secret", &secret);
    small("ephemeral", &ternary(&seed(2), 0, n));
    let errors = binomial(&seed(2), 1, 2 * n);
    small("error", &errors[..n]);
    small("second error", &errors[n..]);
    small("error under the secret", &binomial(&seed(3), 1, n));

    let packed = [0, packed.len() / 2, packed.len() - 32].map(|at| packed[at..at + 32].to_vec());
    all.insert("secret, packed".into(), packed.to_vec());
    // Streams' keys and the seeds that they come from.
    let keys = (0..3).flat_map(|counter| {
        let contexts = [SECRET_KEY, EPHEMERAL, ERROR].map(|c| stream_key(c, &seed(2), counter));
        contexts.map(|key| key.to_vec())
    });
    all.insert("stream keys".into(), keys.collect());
    all.insert("seeds".into(), vec![seed(1).to_vec(), seed(2).to_vec()]);

    // The message: slots, coefficients, integers, residues.
    let values = message(slots);
    let words = |values: &[f64]| -> Vec<Vec<u8>> {
        let bytes = values.iter().map(|v| v.to_bits().to_le_bytes().to_vec());
        bytes.filter(|b| b.iter().all(|&b| b != 0)).collect()
    };
    all.insert("message, slots".into(), words(&values));
    let mut coeffs: Vec<_> = values.iter().map(|&v| Complex64::from(v)).collect();
    let fft = SpecialFft::new(params.log_n()).unwrap();
    fft.to_coeffs(&mut coeffs).unwrap();
    let level = params.level(LEVEL).unwrap();
    let scale = level.scale().to_f64();
    let coeffs: Vec<f64> = (coeffs.iter().map(|z| z.re))
        .chain(coeffs.iter().map(|z| z.im))
        .collect();
    all.insert("message, coefficients".into(), words(&coeffs[..slots]));
    let integers: Vec<i128> = coeffs
        .iter()
        .map(|c| (c * scale).round_ties_even() as i128)
        .collect();
    let bytes = integers.iter().filter(|c| c.unsigned_abs() >> 24 != 0);
    let bytes = bytes.map(|c| c.to_le_bytes()[..].to_vec());
    all.insert("message, integers".into(), bytes.collect());
    let mut residues = Vec::new();
    for limb in level.limbs().iter() {
        let q = i128::from(params.ring_spec().modulus(limb).value());
        residues.extend(integers.iter().map(|c| c.rem_euclid(q) as u64));
    }
    all.insert("message, residues".into(), distinct(&residues));
    let shape = Shape::new(1, level.limbs(), params.log_n());
    let mut buf = ring.upload(shape, Domain::Coeff, &residues).unwrap();
    ring.ntt(&mut buf).unwrap();
    let eval = ring.download(&buf).unwrap();
    all.insert("message, transformed".into(), distinct(&eval));

    // What comes out of a decryption, noise and all.
    let key = SecretKey::import_secret(&session, &folder.join("secret.rls")).unwrap();
    let ct = Ciphertext::load(&folder.join("ciphertext.rlc"), &session, LIMIT).unwrap();
    let decrypted = Decryptor::new(&key).decrypt(&ct).unwrap();
    all.insert("decrypted".into(), words(&decrypted));
    all
}

/// Single words of the evaluation domain, their negatives and squares: every one is unlike any
/// other word of memory, in whatever order they lie.
fn transformed(session: &Session, words: &[u64]) -> Vec<Vec<u8>> {
    let (params, ring) = (session.params(), session.ring());
    let shape = Shape::new(1, params.ring_spec().all_limbs(), params.log_n());
    let mut buf = ring.upload(shape, Domain::Coeff, words).unwrap();
    ring.ntt(&mut buf).unwrap();
    let eval = ring.download(&buf).unwrap();
    let mut all = Vec::new();
    for (row, limb) in eval.chunks_exact(params.n()).zip(shape.limbs.iter()) {
        let q = params.ring_spec().modulus(limb).value();
        for &w in row {
            let square = (u128::from(w) * u128::from(w) % u128::from(q)) as u64;
            all.extend([w, (q - w) % q, square]);
        }
    }
    distinct(&all)
}

/// Words of more than four bytes: shorter ones are no rare sight.
fn distinct(words: &[u64]) -> Vec<Vec<u8>> {
    let wide = words.iter().filter(|&&w| w >> 34 != 0);
    wide.map(|w| w.to_le_bytes().to_vec()).collect()
}

const SECRET_KEY: &str = "ringloom 2026 stream: secret key";
const EPHEMERAL: &str = "ringloom 2026 stream: ephemeral secret";
const ERROR: &str = "ringloom 2026 stream: encryption error";

fn stream_key(context: &str, seed: &[u8; 32], counter: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(seed);
    hasher.update(&counter.to_le_bytes());
    *hasher.finalize().as_bytes()
}

fn ternary(seed: &[u8; 32], counter: u64, n: usize) -> Vec<i8> {
    let mut stream = ChaCha20Rng::from_seed(stream_key(EPHEMERAL, seed, counter));
    let draw = |_| ((u128::from(stream.next_u64()) * 3) >> 64) as i8 - 1;
    (0..n).map(draw).collect()
}

fn binomial(seed: &[u8; 32], counter: u64, n: usize) -> Vec<i8> {
    let mut stream = ChaCha20Rng::from_seed(stream_key(ERROR, seed, counter));
    let draw = |_| {
        let word = stream.next_u64();
        let half = |word: u64| (word & ((1 << 21) - 1)).count_ones() as i8;
        half(word) - half(word >> 32)
    };
    (0..n).map(draw).collect()
}

/// Words of a kind that must be found before it counts. Among the millions of uniform words of keys
/// and ciphertexts some of 40 bits are equal to a needle of one word by chance, in one search of
/// twenty or so; longer needles are not met by chance.
const WORDS_BY_CHANCE: usize = 2;

/// Places of each kind that a failure shows.
const SHOWN: usize = 16;

/// Where each kind of needle was found: region, first word, address. One word at several addresses is a
/// copy; a match by chance shows as such, among words of a key.
fn search(
    process: u32,
    needles: &BTreeMap<String, Vec<Vec<u8>>>,
) -> BTreeMap<String, BTreeSet<String>> {
    let (mut by_word, mut filter) = (BTreeMap::<u64, Vec<_>>::new(), vec![false; 1 << 16]);
    for (name, list) in needles {
        for needle in list {
            let word = u64::from_le_bytes(needle[..8].try_into().unwrap());
            by_word.entry(word).or_default().push((name, needle));
            filter[word as usize & 0xffff] = true;
        }
    }
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{process}/mem"))
        .expect("a parent may read the memory of its child");
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    let mut words = BTreeMap::<String, usize>::new();
    let (mut bytes, mut total) = (Vec::new(), 0);
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (range, flags) = (fields[0], fields[1]);
        if !flags.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let to = u64::from_str_radix(to, 16).unwrap();
        bytes.resize((to - from) as usize, 0);
        if memory.read_exact_at(&mut bytes, from).is_err() {
            continue; // no memory behind it
        }
        total += bytes.len();
        let region = fields.get(5).copied().unwrap_or("anonymous");
        for at in 0..bytes.len() - 7 {
            let word = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            if !filter[word as usize & 0xffff] {
                continue;
            }
            for (name, needle) in by_word.get(&word).into_iter().flatten() {
                if bytes[at..].starts_with(needle) {
                    let places = found.entry((*name).clone()).or_default();
                    if places.len() < SHOWN {
                        let at = from + at as u64;
                        places.insert(format!("{region}: {word:#x} at {at:#x}"));
                    }
                    let long = if needle.len() > 8 { WORDS_BY_CHANCE } else { 0 };
                    *words.entry((*name).clone()).or_default() += 1 + long;
                }
            }
        }
    }
    assert!(total > 8 << 20, "{total} bytes are not all of a process");
    found.retain(|name, _| words[name] > WORDS_BY_CHANCE);
    found
}

/// Runs a role in a child and looks for the needles when it is done.
fn watch(
    role: &str,
    folder: &Path,
    device: &str,
    needles: impl FnOnce() -> BTreeMap<String, Vec<Vec<u8>>>,
) -> (BTreeMap<String, BTreeSet<String>>, Vec<String>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .envs([(ROLE, role), (DEVICE, device)])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().ends_with("holding still")),
        "the {role} failed"
    );
    let needles = needles();
    let found = search(child.id(), &needles);
    writeln!(child.stdin.take().unwrap(), "go on").unwrap();
    assert!(child.wait().unwrap().success());
    (found, needles.into_keys().collect())
}

#[test]
#[ignore = "the others run it, as their child"]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let (folder, device) = (env::var(FOLDER).unwrap(), env::var(DEVICE).unwrap());
    let folder = Path::new(&folder);
    match role.as_str() {
        "client" => client(folder, &device),
        "server" => server(folder, &device),
        "careless" => drop(black_box(needles(folder, &device))),
        other => panic!("{other}"),
    }
    writeln!(std::io::stdout(), "holding still").unwrap();
    std::io::stdin()
        .lock()
        .read_line(&mut String::new())
        .unwrap();
}

fn check(device: &str) {
    let name = format!("ringloom-memory-{device}-{}", std::process::id());
    let folder = env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    let (found, kinds) = watch("client", &folder, device, || needles(&folder, device));
    assert!(
        found.is_empty(),
        "left behind by a client on {device}: {found:?}"
    );
    let all = || needles(&folder, device);
    let (found, _) = watch("server", &folder, device, all);
    assert!(found.is_empty(), "known to a server on {device}: {found:?}");
    let (found, _) = watch("careless", &folder, device, all);
    assert_eq!(found.into_keys().collect::<Vec<_>>(), kinds);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_secret_stays_behind_on_the_cpu() {
    check("cpu");
}

#[test]
fn no_secret_stays_behind_in_scalar_code() {
    check("cpu-scalar");
}

#[test]
fn no_secret_stays_behind_on_the_reference() {
    check("reference");
}
