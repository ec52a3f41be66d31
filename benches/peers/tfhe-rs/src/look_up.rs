//! Look-ups of four bits, as `benches/src/tfhe.rs` has them.

use rayon::prelude::*;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tfhe::{
    core_crypto::prelude::ThreadCount,
    shortint::{
        Ciphertext,
        atomic_pattern::AtomicPatternServerKey,
        parameters::{
            PARAM_MESSAGE_2_CARRY_2_KS_PBS_GAUSSIAN_2M128,
            v1_8::V1_8_PARAM_MULTI_BIT_GROUP_3_MESSAGE_2_CARRY_2_KS_PBS_GAUSSIAN_2M128,
        },
        server_key::ShortintBootstrappingKey,
    },
};

use crate::{Result, case::Case, party::Party, timed::Timed};

const BATCH: usize = 256;

/// The set of 2 + 2 bits with as much security as ours claims: 128 bits. (Those with noise of uniform
/// distribution claim 132 and take longer.)
pub fn classic() -> Result<Party> {
    let params = PARAM_MESSAGE_2_CARRY_2_KS_PBS_GAUSSIAN_2M128;
    Party::classic("PARAM_MESSAGE_2_CARRY_2_KS_PBS_GAUSSIAN_2M128", params)
}

/// The function that is looked up.
fn function(v: u64) -> u64 {
    (v * v + 3) % 16
}

pub fn pbs() -> Result<Box<dyn Case>> {
    bootstrap(
        classic()?,
        "blind rotation and extraction; key-switch and modulus switch are outside",
    )
}

pub fn pbs_grouped(threads: usize) -> Result<Box<dyn Case>> {
    let mut party = Party::multi_bit(
        "PARAM_MULTI_BIT_GROUP_3_MESSAGE_2_CARRY_2_KS_PBS_GAUSSIAN_2M128",
        V1_8_PARAM_MULTI_BIT_GROUP_3_MESSAGE_2_CARRY_2_KS_PBS_GAUSSIAN_2M128,
    )?;
    // The rotation's own thread waits for as many more, which prepare the key.
    if let AtomicPatternServerKey::Standard(key) = &mut party.server.atomic_pattern {
        if let ShortintBootstrappingKey::MultiBit { thread_count, .. } = &mut key.bootstrapping_key
        {
            *thread_count = ThreadCount(threads);
        }
    }
    let allowed = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|&c| allowed.is_set(c))
        .collect();
    let mut few = CpuSet::new();
    cores.iter().take(threads).for_each(|&c| few.set(c));
    let case = bootstrap(
        party,
        "blind rotation with 3 key bits per step and extraction, on as many cores as threads; \
         key-switch and modulus switch are outside",
    )?;
    Ok(Box::new(OnCores { case, allowed, few }))
}

/// A case whose calls, and the threads they start, stay on some cores.
struct OnCores {
    case: Box<dyn Case>,
    allowed: CpuSet,
    few: CpuSet,
}

impl Case for OnCores {
    fn facts(&self) -> &serde_json::Value {
        self.case.facts()
    }

    fn call(&mut self) {
        // Where the system refuses, the call runs on all of them.
        let _ = sched_setaffinity(None, &self.few);
        self.case.call();
        let _ = sched_setaffinity(None, &self.allowed);
    }

    fn error(&mut self) -> Result<f64> {
        self.case.error()
    }
}

fn bootstrap(party: Party, note: &str) -> Result<Box<dyn Case>> {
    let value = 5;
    let table = party.server.generate_lookup_table(function);
    let input = party.client.unchecked_encrypt(value);
    // After key-switch and modulus switch, packed; unpacking is a pass over some hundred words.
    let switched = party.server.switch_modulus_and_compress(&input);
    let facts = party.facts(note, Some(1));
    let (server, client) = (party.server, party.client);
    Ok(Timed::boxed(
        facts,
        move || server.decompress_and_apply_lookup_table(&switched, &table),
        move |y: &Ciphertext| {
            let got = client.decrypt_message_and_carry(y);
            got.abs_diff(function(value)) as f64
        },
    ))
}

pub fn ks_pbs_batch256() -> Result<Box<dyn Case>> {
    let party = classic()?;
    let values: Vec<u64> = (0..BATCH as u64).map(|i| (i * 7 + 5) % 16).collect();
    let table = party.server.generate_lookup_table(function);
    let encrypt = |&v: &u64| party.client.unchecked_encrypt(v);
    let inputs: Vec<Ciphertext> = values.iter().map(encrypt).collect();
    let facts = party.facts("apply_lookup_table of each, by rayon", Some(BATCH));
    let (server, client) = (party.server, party.client);
    Ok(Timed::boxed(
        facts,
        move || -> Vec<Ciphertext> {
            let look_up = |x| server.apply_lookup_table(x, &table);
            inputs.par_iter().map(look_up).collect()
        },
        move |y: &Vec<Ciphertext>| {
            let far = y.iter().zip(&values).map(|(y, &v)| {
                let got = client.decrypt_message_and_carry(y);
                got.abs_diff(function(v)) as f64
            });
            far.fold(0.0, f64::max)
        },
    ))
}
