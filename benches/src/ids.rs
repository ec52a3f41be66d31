//! Every id: `layer/op/params`, and `peer/<name>/layer/op/params`.

use crate::{
    Result, arrays,
    case::{Case, Context},
    ckks, conversions, matrix, mlp, model, peers, products, ring, tfhe,
};

type Build = fn(&Context, &str) -> Result<Box<dyn Case>>;

/// One operation with its parameter sets.
struct Op {
    name: &'static str,
    params: &'static [&'static str],
    build: Build,
}

const RING: &[&str] = &["n12_q50", "n13_q50", "n14_q50", "n15_q50", "n16_q50"];
const RING_FWD: &[&str] = &[
    "n12_q50", "n13_q50", "n14_q50", "n15_q50", "n16_q50", "n14_q40",
];
const CKKS: &[&str] = &["n14_k9", "n15_k15"];

#[rustfmt::skip]
const OPS: [Op; 29] = [
    Op { name: "ring/ntt_fwd", params: RING_FWD, build: ring::ntt_fwd },
    Op { name: "ring/ntt_inv", params: RING, build: ring::ntt_inv },
    Op { name: "ring/ntt_fwd64", params: &["n14_q50"], build: ring::ntt_fwd64 },
    Op { name: "ring/ntt_inv64", params: &["n14_q50"], build: ring::ntt_inv64 },
    Op { name: "ckks/encode", params: CKKS, build: ckks::encode },
    Op { name: "ckks/encrypt_pk", params: CKKS, build: ckks::encrypt_pk },
    Op { name: "ckks/decrypt_decode", params: CKKS, build: ckks::decrypt_decode },
    Op { name: "ckks/add", params: CKKS, build: ckks::add },
    Op { name: "ckks/mul_relin_rescale", params: CKKS, build: ckks::mul_relin_rescale },
    Op { name: "ckks/rotate", params: CKKS, build: ckks::rotate },
    Op { name: "ckks/rotate_hoisted8", params: CKKS, build: ckks::rotate_hoisted8 },
    Op { name: "matrix/plain_matvec", params: &["256x256", "256x256_n14_k9", "1024x1024", "1024x1024_n14_k9"], build: matrix::plain_matvec },
    Op { name: "matrix/cp_mm", params: &["64"], build: arrays::cp_mm },
    Op { name: "matrix/cc_mm", params: &["64", "1024", "1024_rows", "4096", "4096_s40"], build: cc_mm },
    Op { name: "matrix/cc_mm_batch", params: &["256x32"], build: products::cc_mm_batch },
    Op { name: "matrix/conv2d", params: &["32x32x16_k3s1"], build: arrays::conv2d },
    Op { name: "matrix/pc_mm", params: &["1024", "1024x8192", "4096"], build: products::pc_mm },
    Op { name: "matrix/pc_mm_shared_a", params: &["1024", "4096"], build: products::pc_mm_shared_a },
    Op { name: "matrix/slots_to_coeffs", params: &["64x64", "16x256"], build: conversions::slots_to_coeffs },
    Op { name: "matrix/coeffs_to_slots", params: &["64x64", "16x256"], build: conversions::coeffs_to_slots },
    Op { name: "matrix/ring_pack", params: &["64x64"], build: conversions::ring_pack },
    Op { name: "matrix/ring_unpack", params: &["64x64"], build: conversions::ring_unpack },
    Op { name: "model/digits", params: &["one", "one_encrypted_weights", "batch"], build: model::digits },
    Op { name: "model/mlp_784_128_10", params: &["batch1000"], build: mlp::mlp },
    Op { name: "model/digits_quantised", params: &["one"], build: tfhe::digits_quantised },
    Op { name: "model/digits_quantised_encrypted_weights", params: &["one"], build: tfhe::digits_quantised_encrypted_weights },
    Op { name: "tfhe/pbs", params: &["m2c2"], build: tfhe::pbs },
    Op { name: "tfhe/pbs_grouped", params: &["m2c2"], build: tfhe::pbs_grouped },
    Op { name: "tfhe/ks_pbs_batch256", params: &["m2c2"], build: tfhe::ks_pbs_batch256 },
];

/// Products of two encrypted matrices: small ones in slots, large ones in coefficients, by rows or by
/// tiles over slots.
fn cc_mm(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    match name {
        "64" => arrays::cc_mm(ctx, name),
        "1024" | "4096_s40" => products::cc_mm_tiled(ctx, name),
        _ => products::cc_mm(ctx, name),
    }
}

/// Ids that stand beside another id than their namesake: a ruler for it.
const RULERS: [(&str, &str); 6] = [
    (
        "model/digits_quantised/one",
        "peer/tfhe-rs/model/digits_quantised/one_own_tables",
    ),
    ("ring/ntt_fwd/n14_q40", "peer/tfhe-ntt/ring/ntt_fwd/n14_q50"),
    (
        "ckks/mul_relin_rescale/n14_k9",
        "peer/tfhe-ntt/ring/ntt_fwd/n14_q50",
    ),
    ("ckks/rotate/n14_k9", "peer/tfhe-ntt/ring/ntt_fwd/n14_q50"),
    (
        "ckks/rotate_hoisted8/n14_k9",
        "peer/tfhe-ntt/ring/ntt_fwd/n14_q50",
    ),
    (
        "matrix/plain_matvec/256x256_n14_k9",
        "peer/tfhe-ntt/ring/ntt_fwd/n14_q50",
    ),
];

/// Our ids, in order.
pub fn all() -> Vec<String> {
    let of = |op: &Op| -> Vec<String> {
        let id = |params: &&str| format!("{}/{params}", op.name);
        op.params.iter().map(id).collect()
    };
    OPS.iter().flat_map(of).collect()
}

/// Prepares the benchmark of an id, ours or a Rust peer's.
///
/// # Errors
/// An unknown id; those of the benchmark's function.
pub fn prepare(ctx: &Context, id: &str) -> Result<Box<dyn Case>> {
    if let Some(peer) = id.strip_prefix("peer/") {
        return peers::prepare(ctx, peer);
    }
    let parts = id.rsplit_once('/');
    let found = parts.and_then(|(name, params)| {
        let op = OPS.iter().find(|op| op.name == name)?;
        op.params.contains(&params).then_some((op, params))
    });
    let (op, params) = found.ok_or_else(|| {
        format!("unknown id, expected one of `ringloom-bench list`, got {id}; check its spelling")
    })?;
    (op.build)(ctx, params)
}

/// Peer ids that run interleaved with one of ours, given all peer ids at hand: its namesakes and
/// its rulers.
pub fn beside(id: &str, peers: &[String]) -> Vec<String> {
    let ruler = |peer: &str| RULERS.iter().any(|r| r.0 == id && r.1 == peer);
    let namesake = |peer: &str| {
        let rest = peer.strip_prefix("peer/").and_then(|p| p.split_once('/'));
        rest.is_some_and(|(_, name)| name == id)
    };
    let found = peers.iter().filter(|peer| namesake(peer) || ruler(peer));
    found.cloned().collect()
}

/// Whether an id matches a pattern, where `*` stands for any characters and `?` for one.
pub fn matches(pattern: &str, id: &str) -> bool {
    let (p, s) = (pattern.as_bytes(), id.as_bytes());
    // reach[j]: the pattern so far matches the first j bytes.
    let mut reach = vec![false; s.len() + 1];
    reach[0] = true;
    for &c in p {
        let mut next = vec![false; s.len() + 1];
        if c == b'*' {
            let first = reach.iter().position(|&r| r).unwrap_or(s.len() + 1);
            next.iter_mut().skip(first).for_each(|r| *r = true);
        } else {
            for j in 0..s.len() {
                next[j + 1] = reach[j] && (c == b'?' || c == s[j]);
            }
        }
        reach = next;
    }
    reach[s.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::ProcessPeer;

    #[test]
    fn ids_are_unique_and_follow_the_grammar() {
        let ids = all();
        for (i, id) in ids.iter().enumerate() {
            assert_eq!(id.split('/').count(), 3, "{id}");
            assert!(!ids[..i].contains(id), "{id}");
        }
        for wanted in [
            "ring/ntt_fwd/n14_q50",
            "ring/ntt_fwd/n14_q40",
            "ring/ntt_inv/n16_q50",
            "ckks/encode/n14_k9",
            "ckks/rotate_hoisted8/n15_k15",
            "matrix/plain_matvec/256x256",
            "model/digits/batch",
        ] {
            assert!(ids.iter().any(|id| id == wanted), "{wanted}");
        }
        for (id, _) in RULERS {
            assert!(ids.iter().any(|i| i == id), "{id}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, id, want) in [
            ("*", "ring/ntt_fwd/n14_q50", true),
            ("ring/*", "ring/ntt_fwd/n14_q50", true),
            ("ring/*", "ckks/add/n14_k9", false),
            ("*/n14_*", "ckks/add/n14_k9", true),
            ("*/n14_*", "ckks/add/n15_k15", false),
            ("ckks/add/n14_k?", "ckks/add/n14_k9", true),
            ("ckks/add", "ckks/add/n14_k9", false),
            ("", "x", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(matches(pattern, id), want, "{pattern} {id}");
        }
    }

    #[test]
    fn peers_stand_beside_their_namesakes_and_rulers() {
        let peers = [
            "peer/openfhe/ckks/rotate/n14_k9",
            "peer/tfhe-ntt/ring/ntt_fwd/n14_q50",
            "peer/openfhe/ckks/rotate/n15_k15",
        ]
        .map(String::from);
        assert_eq!(beside("ckks/rotate/n14_k9", &peers), peers[..2]);
        assert_eq!(beside("ring/ntt_fwd/n14_q50", &peers), peers[1..2]);
        assert!(beside("model/digits/one", &peers).is_empty());
        // The same network in two forms.
        let found = beside("model/digits_quantised/one", &ProcessPeer::ids("tfhe-rs"));
        let name = "peer/tfhe-rs/model/digits_quantised/one";
        assert_eq!(found, [name.to_owned(), format!("{name}_own_tables")]);
    }
}
