//! Networks of small integers, with weights in the clear and encrypted.

use std::ops::ControlFlow;

use ringloom::{
    Error, no_progress,
    tfhe::{
        Failure, IntFunction, IntLayer, IntMatrix, IntNetwork, LookUpTable, TfheLiteral, TfheParams,
    },
};

use super::{Party, TOY_FOUR, TOY_TWO, matrix};

/// Two layers of 4-bit numbers: a hidden ReLU, and sums of more than 4 bits.
fn layers() -> Vec<IntLayer> {
    let entries = |count: usize, step: usize| -> Vec<i64> {
        let entry = |i: usize| [1, 0, -1, 1, 0, 0, -1, 1][(i * step + i / 7) % 8];
        (0..count).map(entry).collect()
    };
    vec![
        IntLayer {
            name: "hidden".into(),
            weights: matrix(4, 10, entries(40, 3)),
            bias: vec![0, 1, -1, 1],
            activation: Some(IntFunction::new(|v| v.clamp(0, 3))),
        },
        IntLayer {
            name: "scores".into(),
            weights: matrix(3, 4, vec![3, -2, 0, 4, 0, 1, 5, -1, -7, 0, 2, 1]),
            bias: vec![0, 2, 0],
            activation: None,
        },
    ]
}

#[test]
fn networks_equal_the_clear_ones_value_for_value() {
    let params = TfheParams::insecure_toy(&TOY_FOUR).unwrap();
    let mut party = Party::new(&params, 7);
    let network = IntNetwork::compile(&params, 0..=1, layers()).unwrap();
    assert_eq!(network.look_ups(), 4);
    assert_eq!(network.log2_failure(), -62.0);
    let before = party.session.ring().stats();
    let server = network.load(&party.session).unwrap();
    let table = params.lanes() * params.n() * 8;
    let loaded = party.session.ring().stats();
    assert_eq!(loaded.bytes_h2d, before.bytes_h2d + table as u64);

    // One image, then more than are looked up at a time.
    let mut run = |images: &[u32]| {
        let pixels =
            |image: &u32| -> Vec<i64> { (0..10).map(|i| i64::from(image >> i & 1)).collect() };
        let pixels: Vec<Vec<i64>> = images.iter().map(pixels).collect();
        let x = party.encrypt(&pixels.concat(), 0..=1);
        let (before, mut seen) = (party.session.ring().stats(), Vec::new());
        let y = server.run(&party.keys, &x, &mut |done, total| {
            assert_eq!(total, 4 * images.len());
            seen.push(done);
            ControlFlow::Continue(())
        });
        // Nothing moves.
        let after = party.session.ring().stats();
        assert_eq!(after.bytes_d2h, before.bytes_d2h);
        assert_eq!(after.bytes_h2d, before.bytes_h2d);
        let want = pixels.iter().map(|x| network.run_clear(x).unwrap());
        let want: Vec<Vec<i64>> = want.collect();
        let y = y.unwrap();
        assert_eq!(party.secret.decrypt(&y).unwrap(), want.concat());
        (seen, want, y)
    };
    assert_eq!(run(&[0b11_0101_0011]).0, [4]);
    let images: Vec<u32> = (0..17).map(|i| i * 577 % 1024).collect();
    let (seen, mut want, sums) = run(&images);
    assert_eq!(seen, [64, 68]);
    want.sort();
    want.dedup();
    assert!(want.len() > 10, "different images, different scores");
    let table = LookUpTable::new(&party.session, -8..=7, |v| v).unwrap();
    let refused = party.keys.look_up(&sums, &table).expect_err("refused");
    assert!(matches!(refused, Error::MessageRange { .. }), "{refused}");

    let x = party.encrypt(&[0; 10], 0..=1);
    let stopped = server.run(&party.keys, &x, &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Cancelled { .. })));
    let narrow = party.encrypt(&[0; 9], 0..=1);
    let refused = server.run(&party.keys, &narrow, &mut no_progress);
    assert!(matches!(refused, Err(Error::Shape { .. })));
    let wide = party.encrypt(&[0; 10], 0..=2);
    let refused = server.run(&party.keys, &wide, &mut no_progress);
    assert!(matches!(refused, Err(Error::MessageRange { .. })));
    assert!(network.run_clear(&[2; 10]).is_err());
    let other = Party::toy(&TOY_TWO);
    assert!(matches!(
        network.load(&other.session),
        Err(Error::ParamsMismatch { .. })
    ));
}

/// Weights as GGSW ciphertexts: the same values, and nothing moves.
#[test]
fn networks_with_encrypted_weights_equal_the_clear_ones() {
    let literals = [
        TOY_FOUR,
        TfheLiteral {
            message_bits: 4,
            ..TOY_TWO
        },
    ];
    for literal in literals {
        let params = TfheParams::insecure_toy(&literal).unwrap();
        let mut party = Party::new(&params, 8);
        let network = IntNetwork::compile(&params, 0..=1, layers()).unwrap();
        let encrypted = (party.secret)
            .encrypt_network_with(&network, &mut party.random)
            .unwrap();
        let server = encrypted.load(&party.session).unwrap();
        let images: Vec<Vec<i64>> = [0b11_0101_0011u32, 0b00_1111_0000, 0b11_1111_1111]
            .map(|image| (0..10).map(|i| i64::from(image >> i & 1)).collect())
            .into();
        let x = (party.secret)
            .encrypt_vectors_with(&encrypted, &images, &mut party.random)
            .unwrap();
        let before = party.session.ring().stats();
        let y = server.run(&party.keys, &x, &mut no_progress).unwrap();
        let after = party.session.ring().stats();
        assert_eq!(after.bytes_d2h, before.bytes_d2h);
        assert_eq!(after.bytes_h2d, before.bytes_h2d);
        let want = images.iter().map(|x| network.run_clear(x).unwrap());
        let want: Vec<Vec<i64>> = want.collect();
        assert_eq!(party.secret.decrypt(&y).unwrap(), want.concat());
        assert!(want[0] != want[1] && want[1] != want[2], "{want:?}");

        let stopped = server.run(&party.keys, &x, &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::Cancelled { .. })));
        let narrow = [vec![0; 9]];
        let refused = (party.secret).encrypt_vectors_with(&encrypted, &narrow, &mut party.random);
        assert!(matches!(refused, Err(Error::Shape { .. })));
        let mut stranger = Party::new(&params, 9);
        let theirs = (stranger.secret)
            .encrypt_vectors_with(&encrypted, &images, &mut stranger.random)
            .unwrap();
        let refused = server.run(&party.keys, &theirs, &mut no_progress);
        assert!(matches!(refused, Err(Error::KeyMismatch { .. })));
        let text = format!("{encrypted:?} {server:?}");
        assert!(text.len() < 300, "{text}");
    }
}

#[test]
fn networks_that_overflow_are_refused_with_the_layer() {
    let params = TfheParams::new(4, Failure::Below128).unwrap();
    let refused = |range, layers| {
        let error = IntNetwork::compile(&params, range, layers).expect_err("refused");
        error.to_string()
    };
    let text = refused(0..=3, layers());
    assert!(
        text.contains("layer hidden") && text.contains("a layer's sum"),
        "{text}"
    );
    let mut wide = layers();
    wide[0].activation = Some(IntFunction::new(|v| 5 * v));
    let text = refused(0..=1, wide);
    assert!(
        text.contains("layer hidden") && text.contains("a layer's result"),
        "{text}"
    );
    let mut wide = layers();
    wide[0].activation = Some(IntFunction::new(|v| v.clamp(0, 1)));
    wide[1].weights = IntMatrix::new((3, 4), 1 << 50, vec![1 << 50; 12]).unwrap();
    let text = refused(0..=1, wide);
    assert!(
        text.contains("layer scores") && text.contains("a layer's sum"),
        "{text}"
    );
    // What fits the torus, but not beside the noise.
    let mut loud = layers();
    loud[1].weights = matrix(3, 4, vec![16; 12]);
    let text = refused(0..=1, loud);
    assert!(
        text.contains("decrypting a sum in layer scores") && text.contains("-39"),
        "{text}"
    );
    let mut loud = layers();
    loud[0].activation = Some(IntFunction::new(|_| 0));
    loud[1].weights = matrix(3, 4, vec![16; 12]);
    loud[1].activation = Some(IntFunction::new(|v| v));
    let text = refused(0..=1, loud);
    assert!(text.contains("a look-up in layer scores"), "{text}");
    let mut loud = layers();
    loud[1].weights = matrix(3, 4, vec![0; 12]);
    loud.remove(0);
    loud[0].bias.pop();
    assert!(refused(0..=1, loud).contains("layer scores"));
}
