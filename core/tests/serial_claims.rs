//! Bytes that claim more than they have: nothing is allocated for it.
//!
//! The peak of a process counts what every thread of it reserves, so this binary has one test.
#![cfg(target_os = "linux")]

mod frames;

use frames::{World, reader, seal};
use ringloom::{
    Error, Params, SeededKeys,
    serial::{Decode, Encode},
};

const LIMIT: u64 = 1 << 20;
const BODY: usize = 88;

/// Bytes of a seed and its stream.
const SEED: usize = 33;

#[track_caller]
fn expect_serialization(result: Result<Vec<u8>, Error>, words: &str) {
    let error = result.expect_err("accepted");
    assert!(matches!(error, Error::Serialization { .. }), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn claims_allocate_nothing() {
    keys_wait_for_their_residues();
    plans_wait_for_their_weights();
}

/// Peak of the address space in bytes: more than what has been touched.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmPeak")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

fn keys_wait_for_their_residues() {
    // A real ring, whose top key takes many megabytes; a kilobyte that claims a terabyte.
    let params = Params::for_depth(40).unwrap();
    let world = World::new(1);
    let mut bytes = world.keys.to_bytes().unwrap();
    bytes.truncate(1024);
    bytes[16..48].copy_from_slice(params.id().as_bytes());
    bytes[80..88].copy_from_slice(&(1u64 << 40).to_le_bytes());
    let levels = params.max_level() as u64;
    bytes[BODY + SEED + 8 + 12..][..8].copy_from_slice(&levels.to_le_bytes());
    let gadget = params.level(params.max_level()).unwrap().gadget();
    let key = (gadget.digits().len() * gadget.extended().len() * params.n() * 8) as u64;
    assert!(key > 64 << 20, "{key}");
    let before = peak();
    expect_serialization(
        SeededKeys::from_bytes(&bytes, &params, 1 << 30).and_then(|k| k.to_bytes()),
        "at most",
    );
    expect_serialization(
        SeededKeys::from_bytes(&bytes, &params, u64::MAX).and_then(|k| k.to_bytes()),
        "cut off",
    );
    assert!(peak() - before < 32 << 20, "{}", peak() - before);
}

/// The frame of a program whose public part was changed, with the first bytes of its first step: a
/// dense matrix of so many rows.
fn program_claiming(frame: &frames::Frame, edits: &[(&str, &str)], rows: u64) -> Vec<u8> {
    let length = u64::from_le_bytes(frame.bytes[BODY..BODY + 8].try_into().unwrap()) as usize;
    let text = frame.bytes[BODY + 8..BODY + 8 + length].to_vec();
    let mut text = String::from_utf8(text).unwrap();
    for (from, to) in edits {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replacen(from, to, 1);
    }
    let mut bytes = frame.bytes[..BODY].to_vec();
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&rows.to_le_bytes());
    bytes.extend_from_slice(&8u64.to_le_bytes());
    bytes
}

fn plans_wait_for_their_weights() {
    let world = World::new(1);
    let frame = reader(&world, "program.rlp");
    // One entry per ciphertext, the longest vectors there are: every weight is a tile of its own.
    let edits = [
        (
            "\"input\":{\"length\":3,\"period\":4,\"width\":4,\"lanes\":2}",
            "\"input\":{\"length\":16777216,\"period\":1,\"width\":1,\"lanes\":8}",
        ),
        (
            "\"output\":{\"length\":2,\"period\":2,\"width\":4,\"lanes\":2}",
            "\"output\":{\"length\":2,\"period\":1,\"width\":1,\"lanes\":8}",
        ),
    ];
    for rows in [1u64, 1 << 10, 1 << 24] {
        let mut bytes = program_claiming(&frame, &edits, rows);
        assert!(bytes.len() < 1024, "{}", bytes.len());
        let before = peak();
        // The frame is as long as it says, and the weights are not in it.
        let mut whole = bytes.clone();
        let body = (bytes.len() - BODY) as u64;
        whole[80..88].copy_from_slice(&body.to_le_bytes());
        whole.extend_from_slice(&[0; 32]);
        seal(&mut whole);
        expect_serialization((frame.read)(&whole, LIMIT), "more bytes in the body");
        // The frame says that they follow, and they do not come.
        bytes[80..88].copy_from_slice(&(1u64 << 52).to_le_bytes());
        expect_serialization((frame.read)(&bytes, u64::MAX), "cut off");
        assert!(peak() - before < 32 << 20, "{rows}: {}", peak() - before);
    }
}
