//! Look-ups as tfhe-rs's shortint does them.

use std::{cell::RefCell, rc::Rc};

use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};
use serde_json::json;
use tfhe::{
    core_crypto::prelude::*,
    shortint::{
        Ciphertext, ClientKey, CompressedServerKey, PBSParameters, ServerKey,
        atomic_pattern::AtomicPatternServerKey,
        parameters::v1_8::{
            V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as CLASSIC,
            V1_8_PARAM_MULTI_BIT_GROUP_2_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as GROUP_2,
            V1_8_PARAM_MULTI_BIT_GROUP_3_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as GROUP_3,
            V1_8_PARAM_MULTI_BIT_GROUP_4_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as GROUP_4,
        },
        server_key::{LookupTableOwned, ShortintBootstrappingKey},
    },
};

use crate::{Result, digits, serve::Case};

/// Ciphertexts of a batch.
const BATCH: usize = 256;

/// Values with message and carry bits: 4 in all.
const VALUES: u64 = 16;

/// A client and its server.
pub struct Scene {
    /// The client's key.
    pub client: ClientKey,
    /// The server's.
    pub server: ServerKey,
    note: String,
}

impl Scene {
    /// Keys of a set whose groups of key bits have the given size.
    ///
    /// # Errors
    /// A size that tfhe-rs has no set of this message space for.
    pub fn new(group: usize) -> Result<Self> {
        let params: PBSParameters = match group {
            1 => CLASSIC.into(),
            2 => GROUP_2.into(),
            3 => GROUP_3.into(),
            4 => GROUP_4.into(),
            _ => return Err(format!("no set with groups of {group} key bits").into()),
        };
        let client = ClientKey::new(params);
        let compressed = CompressedServerKey::new(&client);
        let size = bincode::serialized_size(&compressed)?;
        let mut server = ServerKey::new(&client);
        one_thread(&mut server);
        let note = format!(
            "groups of {group}, LWE dimension {}, N {}, failure of a look-up 2^{:.1}, compressed \
             server key of {:.1} MB",
            params.lwe_dimension().0,
            params.polynomial_size().0,
            params.log2_p_fail(),
            size as f64 / 1e6
        );
        Ok(Self {
            client,
            server,
            note,
        })
    }

    /// What a result says.
    pub fn facts(&self, note: &str, items: Option<usize>) -> serde_json::Value {
        let n = self.client.parameters().polynomial_size().0;
        let note = format!("{note}; {}", self.note);
        json!({ "n": n, "limbs": 1, "log_qp": 64.0, "items": items, "tolerance": 0.0, "note": note })
    }

    /// A value with message and carry.
    pub fn encrypt(&self, value: u64) -> Ciphertext {
        self.client.unchecked_encrypt(value)
    }
}

/// A look-up of grouped key bits uses threads of its own, as many as there are cores: here one,
/// beside the one that waits for it.
fn one_thread(server: &mut ServerKey) {
    if let AtomicPatternServerKey::Standard(standard) = &mut server.atomic_pattern
        && let ShortintBootstrappingKey::MultiBit { thread_count, .. } =
            &mut standard.bootstrapping_key
    {
        *thread_count = ThreadCount(1);
    }
}

/// As many threads as asked for.
///
/// # Errors
/// What rayon says.
pub fn pool(threads: usize) -> Result<ThreadPool> {
    Ok(ThreadPoolBuilder::new().num_threads(threads).build()?)
}

fn function(v: u64) -> u64 {
    (v * v + 3) % VALUES
}

fn inputs(count: usize) -> Vec<u64> {
    (0..count as u64).map(|i| (i * 7 + 5) % VALUES).collect()
}

/// Prepares an id.
///
/// # Errors
/// An unknown id.
pub fn prepare(id: &str, threads: usize) -> Result<Case> {
    match id {
        "tfhe/pbs/m2c2" => pbs(1),
        "tfhe/ks_pbs_batch256/m2c2" => batch(threads),
        "model/digits_quantised/one" => digits::prepare(threads),
        _ => {
            // Groups of two unless the name says otherwise: m2c2_g3.
            let name = id.strip_prefix("tfhe/pbs_grouped/m2c2");
            let group = name.and_then(|rest| match rest {
                "" => Some(2),
                _ => rest.strip_prefix("_g")?.parse().ok(),
            });
            match group {
                Some(group) => pbs(group),
                None => Err(format!("unknown id, got {id}").into()),
            }
        }
    }
}

/// Modulus switch, blind rotation, extraction: what shortint does after its key-switch.
fn pbs(group: usize) -> Result<Case> {
    let scene = Scene::new(group)?;
    let table = scene.server.generate_lookup_table(function);
    let values = inputs(1);
    let input = scene.encrypt(values[0]);
    let AtomicPatternServerKey::Standard(server) = &scene.server.atomic_pattern else {
        return Err("a set without a standard server key".into());
    };
    let key = &server.key_switching_key;
    let size = key.output_key_lwe_dimension().to_lwe_size();
    let mut small = LweCiphertext::new(0, size, input.ct.ciphertext_modulus());
    keyswitch_lwe_ciphertext(key, &input.ct, &mut small);
    let facts = scene.facts(
        "modulus switch, blind rotation, extraction; no key-switch",
        None,
    );
    let output = Rc::new(RefCell::new(input.clone()));
    let (latest, want) = (output.clone(), function(values[0]));
    let scene = Rc::new(scene);
    let client = scene.clone();
    let call = move || {
        let AtomicPatternServerKey::Standard(server) = &scene.server.atomic_pattern else {
            return;
        };
        rotate(
            &server.bootstrapping_key,
            &small,
            &table,
            &mut output.borrow_mut(),
        );
    };
    let error = move || {
        let got = client.client.decrypt_message_and_carry(&latest.borrow());
        got.abs_diff(want) as f64
    };
    Ok(Case {
        facts,
        call: Box::new(call),
        error: Box::new(error),
    })
}

fn rotate(
    key: &ShortintBootstrappingKey<u64>,
    small: &LweCiphertextOwned<u64>,
    table: &LookupTableOwned,
    output: &mut Ciphertext,
) {
    match key {
        ShortintBootstrappingKey::Classic {
            bsk,
            modulus_switch_noise_reduction_key: switch,
        } => {
            let mut acc = table.acc.clone();
            let log = acc.polynomial_size().to_blind_rotation_input_modulus_log();
            let exponents = switch.lwe_ciphertext_modulus_switch(small, log);
            blind_rotate_assign(&exponents, &mut acc, bsk);
            extract_lwe_sample_from_glwe_ciphertext(&acc, &mut output.ct, MonomialDegree(0));
        }
        ShortintBootstrappingKey::MultiBit {
            fourier_bsk,
            thread_count,
            deterministic_execution,
        } => multi_bit_programmable_bootstrap_lwe_ciphertext(
            small,
            &mut output.ct,
            &table.acc,
            fourier_bsk,
            *thread_count,
            *deterministic_execution,
        ),
    }
}

/// Look-ups of a batch, key-switch included, over the threads of a pool.
fn batch(threads: usize) -> Result<Case> {
    let (scene, pool) = (Rc::new(Scene::new(1)?), pool(threads)?);
    let table = scene.server.generate_lookup_table(function);
    let values = inputs(BATCH);
    let input: Vec<Ciphertext> = values.iter().map(|&v| scene.encrypt(v)).collect();
    let facts = scene.facts(
        "key-switch, modulus switch, blind rotation, extraction",
        Some(BATCH),
    );
    let output = Rc::new(RefCell::new(Vec::new()));
    let (latest, client) = (output.clone(), scene.clone());
    let call = move || {
        let server = &scene.server;
        let found = pool.install(|| {
            let found = input
                .par_iter()
                .map(|x| server.apply_lookup_table(x, &table));
            found.collect::<Vec<_>>()
        });
        *output.borrow_mut() = found;
    };
    let error = move || {
        let latest = latest.borrow();
        let far = latest.iter().zip(&values).map(|(y, &v)| {
            let got = client.client.decrypt_message_and_carry(y);
            got.abs_diff(function(v)) as f64
        });
        if latest.len() == values.len() {
            far.fold(0.0, f64::max)
        } else {
            f64::INFINITY
        }
    };
    Ok(Case {
        facts,
        call: Box::new(call),
        error: Box::new(error),
    })
}
