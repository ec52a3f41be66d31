//! Integers of tfhe-rs through a matrix product of Ringloom and back, then compared by tfhe-rs: what
//! a Rust program with both libraries writes. Both speak through `safe_serialize`.
//!
//!     cargo run --locked --profile exchange --example exchange \
//!         --manifest-path benches/peers/tfhe-rs/Cargo.toml

use std::error::Error;

use ringloom::{
    open_device,
    tfhe::{
        Failure, IntMatrix, LookUpTable, LweBatch, TfheKeys, TfheParams, TfheSecretKey,
        TfheSession,
        exchange::{ExportKey, ImportKey, TfheRsBatch, TfheRsSecret, TfheRsSet, TfheRsType},
    },
};
use tfhe::{
    ClientKey, ConfigBuilder, FheBool, FheInt8, FheUint8, ServerKey,
    prelude::*,
    safe_serialization::{safe_deserialize, safe_serialize},
    set_server_key,
    shortint::parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
};

const LIMIT: u64 = 1 << 26;
/// The name that the client gives its key of tfhe-rs.
const ID: [u8; 32] = [7; 32];
const VALUES: [u8; 4] = [228, 27, 201, 77];
/// Each block of a result from two blocks of the same integer.
const WEIGHTS: [i64; 16] = [1, 1, 0, 0, 0, 1, 0, -1, 1, 0, 1, 0, 0, 0, -1, 1];

fn main() -> Result<(), Box<dyn Error>> {
    // The client has a key of either library.
    let config =
        ConfigBuilder::with_custom_parameters(V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128);
    let theirs = ClientKey::generate(config.build());
    let params = TfheParams::new(4, Failure::Below128)?;
    let session = TfheSession::new(&params, &*open_device("cpu", None)?)?;
    let ours = TfheSecretKey::generate(&session)?;
    let their_secret = TfheRsSecret::from_client_key(ID, &bytes(&theirs)?)?;
    let (import, export) = (
        ours.import_key(&their_secret)?,
        ours.export_key(&their_secret)?,
    );
    let inputs = VALUES.map(|value| FheUint8::encrypt(value, &theirs));

    // The server gets public keys and ciphertexts.
    set_server_key(ServerKey::new(&theirs));
    let keys = TfheKeys::load(&session, &ours.server_keys()?)?;
    let server = Server {
        set: TfheRsSet::for_params(&params)?,
        import: ImportKey::load(&session, &import)?,
        export: ExportKey::load(&export),
        keys,
    };
    let products = server.multiply(&inputs)?;
    let want = VALUES.map(clear);
    check("W x mod 4", &decrypted(&products, &theirs), &want)?;

    // tfhe-rs's integers compare and sort them: a network of five comparators.
    let mut sorted = products.clone();
    for (a, b) in [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)] {
        (sorted[a], sorted[b]) = (sorted[a].max(&sorted[b]), sorted[a].min(&sorted[b]));
    }
    let mut ranked = want;
    ranked.sort_by(|a, b| b.cmp(a));
    check(
        "largest two",
        &decrypted(&sorted[..2], &theirs),
        &ranked[..2],
    )?;
    let greater = products[0].gt(&products[1]);
    let is_greater: bool = greater.decrypt(&theirs);
    check("first > second", &[is_greater], &[want[0] > want[1]])?;

    // Results of tfhe-rs come back: a comparison, and a signed integer.
    let (kind, bit) = server.load(&bytes(&greater)?)?;
    check("FheBool", &[kind], &[TfheRsType::Bool])?;
    let bit = server.look_up(&bit, |v| 1 - v)?;
    let bit = server.store(&bit, TfheRsType::Bool)?.remove(0);
    let bit: FheBool = safe_deserialize(&*bit, LIMIT)?;
    let is_not_greater: bool = bit.decrypt(&theirs);
    check("not", &[is_not_greater], &[!is_greater])?;
    let negative = FheInt8::encrypt(-3i8, &theirs);
    let (kind, blocks) = server.load(&bytes(&negative)?)?;
    let inverted = server.look_up(&blocks, |v| 3 - v)?;
    let inverted = server.store(&inverted, kind)?.remove(0);
    let inverted: FheInt8 = safe_deserialize(&*inverted, LIMIT)?;
    let inverted: i8 = inverted.decrypt(&theirs);
    check("!(-3)", &[inverted], &[!(-3)])?;
    Ok(())
}

/// What computes on ciphertexts, without a secret.
struct Server {
    set: TfheRsSet,
    import: ImportKey,
    export: ExportKey,
    keys: TfheKeys,
}

impl Server {
    /// The blocks of a ciphertext of tfhe-rs.
    fn load(&self, bytes: &[u8]) -> ringloom::Result<(TfheRsType, TfheRsBatch)> {
        TfheRsBatch::from_serialised(&self.set, ID, bytes)
    }

    /// Imports them with a function of each.
    fn look_up(&self, blocks: &TfheRsBatch, f: fn(i64) -> i64) -> ringloom::Result<LweBatch> {
        let small = self.import.import(blocks)?;
        let table = LookUpTable::new(self.keys.session(), small.range(), f)?;
        self.keys.bootstrap(&small, &table)
    }

    /// Ciphertexts of tfhe-rs: integers of four blocks, or one for each block.
    fn store(&self, batch: &LweBatch, kind: TfheRsType) -> ringloom::Result<Vec<Vec<u8>>> {
        let count = match kind {
            TfheRsType::Uint | TfheRsType::Int => 4,
            TfheRsType::Bool | TfheRsType::Shortint => 1,
        };
        let batch = self.export.export(batch)?;
        batch
            .chunks(count)
            .map(|part| part.to_serialised(kind))
            .collect()
    }

    /// `W x mod 4` of the blocks of every integer.
    fn multiply(&self, inputs: &[FheUint8]) -> Result<Vec<FheUint8>, Box<dyn Error>> {
        let mut blocks = Vec::new();
        for input in inputs {
            blocks.push(self.load(&bytes(input)?)?.1);
        }
        let blocks = TfheRsBatch::concat(&blocks.iter().collect::<Vec<_>>())?;
        let x = self.look_up(&blocks, |v| v)?;
        let weights = IntMatrix::new((4, 4), 1, WEIGHTS.to_vec())?;
        let sums = x.affine_each(&weights, &[0; 4])?;
        let modulo = LookUpTable::new(self.keys.session(), sums.range(), |v| v.rem_euclid(4))?;
        let results = self.keys.look_up(&sums, &modulo)?;
        let results = self.store(&results, TfheRsType::Uint)?;
        let read = results
            .iter()
            .map(|bytes| safe_deserialize(&**bytes, LIMIT));
        Ok(read.collect::<Result<_, _>>()?)
    }
}

/// The product in the clear.
fn clear(value: u8) -> u8 {
    let blocks: Vec<i64> = (0..4).map(|i| i64::from(value >> (2 * i) & 3)).collect();
    let sum = |row: &[i64]| -> i64 { row.iter().zip(&blocks).map(|(w, x)| w * x).sum() };
    let rows = WEIGHTS.chunks_exact(4).enumerate();
    rows.map(|(i, row)| (sum(row).rem_euclid(4) as u8) << (2 * i))
        .sum()
}

fn bytes<T>(object: &T) -> Result<Vec<u8>, Box<dyn Error>>
where
    T: serde::Serialize + tfhe::Versionize + tfhe::named::Named,
{
    let mut bytes = Vec::new();
    safe_serialize(object, &mut bytes, LIMIT)?;
    Ok(bytes)
}

fn decrypted(integers: &[FheUint8], key: &ClientKey) -> Vec<u8> {
    integers
        .iter()
        .map(|integer| integer.decrypt(key))
        .collect()
}

fn check<T: PartialEq + std::fmt::Debug>(
    what: &str,
    got: &[T],
    want: &[T],
) -> Result<(), Box<dyn Error>> {
    if got != want {
        return Err(format!("{what}: expected {want:?}, got {got:?}").into());
    }
    println!("{what}: {got:?}, as in the clear");
    Ok(())
}
