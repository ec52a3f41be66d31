//! The largest of encrypted integers and its place, alone and at the end of a network.

use std::ops::ControlFlow;

use ringloom::{
    Error, no_progress,
    tfhe::{IntFunction, IntLayer, IntNetwork, IntOutput, TfheParams},
};

use super::{Party, TOY_FOUR, TOY_PAIRS, matrix};

/// Entries of `-4..=3` without order, with ties.
fn entries(count: usize) -> Vec<i64> {
    (0..count as i64)
        .map(|i| (i * i * 3 + i * 5 + 2).rem_euclid(8) - 4)
        .collect()
}

fn place_of_the_largest(vector: &[i64]) -> i64 {
    let most = vector.iter().max().unwrap();
    vector.iter().position(|v| v == most).unwrap() as i64
}

/// Lengths with and without odd blocks, two vectors at a time; the last one is all ties.
#[test]
fn the_largest_entry_and_its_place() {
    let mut party = Party::toy(&TOY_FOUR);
    for length in [1, 2, 3, 6, 10, 16] {
        let mut vectors = vec![entries(length), vec![-1; length]];
        vectors[0].reverse();
        let x = party.encrypt(&vectors.concat(), -4..=3);
        let before = party.session.ring().stats();
        let mut seen = Vec::new();
        let most = party.keys.max(&x, length, &mut |done, total| {
            assert_eq!(total, 2 * (length - 1));
            seen.push(done);
            ControlFlow::Continue(())
        });
        let (most, place) = (
            most.unwrap(),
            party.keys.argmax(&x, length, &mut no_progress),
        );
        let (after, place) = (party.session.ring().stats(), place.unwrap());
        assert_eq!(after.bytes_d2h, before.bytes_d2h);
        // Tables were made at the first use; now nothing moves.
        party.keys.max(&x, length, &mut no_progress).unwrap();
        let again = party.keys.argmax(&x, length, &mut no_progress).unwrap();
        let quiet = party.session.ring().stats();
        assert_eq!(quiet.bytes_h2d, after.bytes_h2d, "{length}");
        assert_eq!(quiet.bytes_d2h, after.bytes_d2h, "{length}");
        assert_eq!(
            party.secret.phases(&again).unwrap(),
            party.secret.phases(&place).unwrap()
        );
        assert_eq!(most.range(), -4..=3);
        assert_eq!(place.range(), 0..=length as i64 - 1);
        let want: Vec<i64> = vectors.iter().map(|v| *v.iter().max().unwrap()).collect();
        assert_eq!(party.secret.decrypt(&most).unwrap(), want, "{vectors:?}");
        let want: Vec<i64> = vectors.iter().map(|v| place_of_the_largest(v)).collect();
        assert_eq!(party.secret.decrypt(&place).unwrap(), want, "{vectors:?}");
        assert_eq!(seen.last().copied().unwrap_or(0), 2 * (length - 1));
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let mut party = Party::toy(&TOY_FOUR);
    let wide = party.encrypt(&[1, 2], -4..=4);
    for refused in [
        party.keys.max(&wide, 2, &mut no_progress),
        party.keys.argmax(&wide, 2, &mut no_progress),
    ] {
        let text = refused.expect_err("refused").to_string();
        assert!(text.contains("at most 8 values"), "{text}");
    }
    let many = party.encrypt(&[0; 17], 0..=1);
    let refused = party.keys.argmax(&many, 17, &mut no_progress);
    assert!(matches!(refused, Err(Error::MessageRange { .. })));
    for length in [0, 2, 18] {
        let refused = party.keys.max(&many, length, &mut no_progress);
        assert!(matches!(refused, Err(Error::Shape { .. })), "{length}");
    }
    let stopped = party
        .keys
        .max(&many, 17, &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Cancelled { .. })));
    let mut stranger = Party::toy(&TOY_FOUR);
    stranger = Party::new(stranger.session.params(), 5);
    let theirs = stranger.encrypt(&[0, 1], 0..=1);
    let refused = party.keys.max(&theirs, 2, &mut no_progress);
    assert!(matches!(refused, Err(Error::KeyMismatch { .. })));
    let other = Party::toy(&TOY_PAIRS).encrypt(&[0, 1], 0..=1);
    let refused = party.keys.argmax(&other, 2, &mut no_progress);
    assert!(matches!(refused, Err(Error::ParamsMismatch { .. })));
}

/// A layer of looked-up scores in `0..=3`, three of them.
fn layers(most: i64) -> Vec<IntLayer> {
    let scores: fn(i64) -> i64 = if most > 3 {
        |v| 3 * v + 3
    } else {
        |v| v.clamp(0, 3)
    };
    vec![IntLayer {
        name: "scores".into(),
        weights: matrix(3, 4, vec![1, 1, 0, 1, -1, 1, 1, 0, 0, 0, 1, 1]),
        bias: vec![0, 1, 1],
        activation: Some(IntFunction::new(scores)),
    }]
}

/// Both variants of a network, with each output.
#[test]
fn networks_end_with_the_largest_or_its_place() {
    let params = TfheParams::insecure_toy(&TOY_FOUR).unwrap();
    let mut party = Party::new(&params, 6);
    let images: Vec<Vec<i64>> = vec![vec![1, 1, 0, 1], vec![0, 1, 1, 0], vec![0; 4]];
    for output in [IntOutput::Max, IntOutput::Argmax] {
        let network = IntNetwork::compile(&params, 0..=1, layers(3)).unwrap();
        let network = network.with_output(output).unwrap();
        assert_eq!(network.output(), output);
        let want: Vec<i64> = images
            .iter()
            .flat_map(|x| network.run_clear(x).unwrap())
            .collect();
        assert_eq!(want.len(), 3);
        let x = party.encrypt(&images.concat(), 0..=1);
        let server = network.load(&party.session).unwrap();
        let y = server.run(&party.keys, &x, &mut no_progress).unwrap();
        assert_eq!(party.secret.decrypt(&y).unwrap(), want, "{output:?}");
        let hidden = (party.secret)
            .encrypt_network_with(&network, &mut party.random)
            .unwrap();
        let x = (party.secret)
            .encrypt_vectors_with(&hidden, &images, &mut party.random)
            .unwrap();
        let server = hidden.load(&party.session).unwrap();
        let y = server.run(&party.keys, &x, &mut no_progress).unwrap();
        assert_eq!(party.secret.decrypt(&y).unwrap(), want, "{output:?}");

        let wide = IntNetwork::compile(&params, 0..=1, layers(12)).unwrap();
        let text = wide.with_output(output).expect_err("refused").to_string();
        assert!(text.contains("layer scores"), "{text}");
    }
}
