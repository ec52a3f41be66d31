//! Packing, and integers of 8 bits.

use std::ops::ControlFlow;

use ringloom::{
    Error, no_progress, open_device,
    tfhe::{
        ByteTable, EncryptedBytes, Failure, PackingKey, SeededPackingKey, TfheLiteral, TfheParams,
        TfheSession,
    },
};

use super::{Party, TOY, TOY_FOUR, TOY_TWO};

/// As small as tables of 4 bits allow: a byte takes 34 rotations.
const TOY_BYTES: TfheLiteral = TfheLiteral {
    lwe_dimension: 12,
    log_n: 8,
    ..TOY_FOUR
};

fn packing(party: &mut Party) -> (SeededPackingKey, PackingKey) {
    let seeded = party.secret.packing_key_with(&mut party.random).unwrap();
    let key = PackingKey::load(&party.session, &seeded).unwrap();
    (seeded, key)
}

/// Values stand where they should and zeros elsewhere, on every device with the same bits.
#[test]
fn ciphertexts_are_packed() {
    for literal in [TOY, TOY_TWO] {
        let mut party = Party::toy(&literal);
        let (seeded, key) = packing(&mut party);
        let n = party.session.params().n();
        let values: Vec<i64> = (0..8).map(|i| (i * 3 + 1) % 8).collect();
        let x = party.encrypt(&values, 0..=7);
        for count in [1, 2, 8] {
            let before = party.session.ring().stats();
            let packed = key.pack(&x, count).unwrap();
            let after = party.session.ring().stats();
            assert_eq!(after.bytes_h2d, before.bytes_h2d);
            assert_eq!(after.bytes_d2h, before.bytes_d2h);
            assert_eq!(packed.len(), 8 / count);
            let got = party.secret.decrypt_glwe(&packed).unwrap();
            for (i, &got) in got.iter().enumerate() {
                let (place, stride) = (i % n, n / count);
                let want = match place % stride {
                    0 => values[i / n * count + place / stride],
                    _ => 0,
                };
                assert_eq!(got, want, "{count}: {i}");
            }
        }
        let device = open_device("reference", None).unwrap();
        let session = TfheSession::new(party.session.params(), &*device).unwrap();
        let theirs = PackingKey::load(&session, &seeded).unwrap();
        let theirs = theirs.pack(&x.to_session(&session).unwrap(), 4).unwrap();
        let theirs = theirs.extract(3).unwrap();
        let ours = key.pack(&x, 4).unwrap().extract(3).unwrap();
        assert_eq!(
            party.secret.phases(&theirs).unwrap(),
            party.secret.phases(&ours).unwrap()
        );
        for count in [0, 3, 16, 2 * n] {
            assert!(matches!(key.pack(&x, count), Err(Error::Shape { .. })));
        }
        let mut stranger = Party::new(party.session.params(), 9);
        let refused = key.pack(&stranger.encrypt(&[1], 0..=1), 1);
        assert!(matches!(refused, Err(Error::KeyMismatch { .. })));
    }
}

/// More than are looked up at a time, through two tables, one after the other.
#[test]
fn bytes_are_looked_up() {
    let mut party = Party::toy(&TOY_BYTES);
    let (_, key) = packing(&mut party);
    let scrambled = |v: u8| v.wrapping_mul(v).wrapping_mul(37).wrapping_add(v ^ 0x5a);
    let half = |v: u8| v / 2;
    let bytes: Vec<u8> = [0, 255, 1, 16, 15, 128, 127, 240, 77].to_vec();
    let x = (party.secret)
        .encrypt_bytes_with(&bytes, &mut party.random)
        .unwrap();
    assert_eq!(party.secret.decrypt_bytes(&x).unwrap(), bytes);
    let [first, second] =
        [scrambled as fn(u8) -> u8, half].map(|f| ByteTable::new(&party.session, f).unwrap());
    let (before, mut seen) = (party.session.ring().stats(), Vec::new());
    let y = party
        .keys
        .look_up_bytes(&key, &x, &first, &mut |done, total| {
            seen.push((done, total));
            ControlFlow::Continue(())
        });
    let y = y.unwrap();
    let z = party
        .keys
        .look_up_bytes(&key, &y, &second, &mut no_progress);
    let (z, after) = (z.unwrap(), party.session.ring().stats());
    assert_eq!(after.bytes_h2d, before.bytes_h2d);
    assert_eq!(after.bytes_d2h, before.bytes_d2h);
    assert_eq!(seen, [(8, 9), (9, 9)]);
    let want: Vec<u8> = bytes.iter().map(|&v| scrambled(v)).collect();
    assert_eq!(party.secret.decrypt_bytes(&y).unwrap(), want);
    let want: Vec<u8> = want.iter().map(|&v| half(v)).collect();
    assert_eq!(party.secret.decrypt_bytes(&z).unwrap(), want);
    let stopped = party
        .keys
        .look_up_bytes(&key, &x, &first, &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Cancelled { .. })));
}

/// Sums that carry at either digit, at both and at none, and a chain of them.
#[test]
fn bytes_are_added_with_carry() {
    let mut party = Party::toy(&TOY_BYTES);
    let a: Vec<u8> = vec![0, 255, 255, 15, 8, 100, 200, 240, 0x0f, 0x7f];
    let b: Vec<u8> = vec![0, 255, 1, 1, 8, 27, 100, 16, 0xf0, 0x80];
    let carry: Vec<i64> = (0..10).map(|i| i % 2).collect();
    let [x, y] = [&a, &b].map(|bytes| {
        (party.secret)
            .encrypt_bytes_with(bytes, &mut party.random)
            .unwrap()
    });
    let c = party.encrypt(&carry, 0..=1);
    for with in [None, Some(&c)] {
        let (sum, over) = party.keys.add_bytes(&x, &y, with).unwrap();
        let sums = (0..10).map(|i| {
            let carry = with.map_or(0, |_| carry[i] as u32);
            u32::from(a[i]) + u32::from(b[i]) + carry
        });
        let sums: Vec<u32> = sums.collect();
        let want: Vec<u8> = sums.iter().map(|&s| s as u8).collect();
        assert_eq!(party.secret.decrypt_bytes(&sum).unwrap(), want);
        let want: Vec<i64> = sums.iter().map(|&s| i64::from(s > 255)).collect();
        assert_eq!(party.secret.decrypt(&over).unwrap(), want);
        assert_eq!(over.range(), 0..=1);
    }
    // Its tables are there now: nothing moves.
    let before = party.session.ring().stats();
    party.keys.add_bytes(&x, &y, None).unwrap();
    let after = party.session.ring().stats();
    assert_eq!(after.bytes_h2d, before.bytes_h2d);
    assert_eq!(after.bytes_d2h, before.bytes_d2h);
    // Digits of sums have the noise of all they were made of, until it is taken off.
    let (mut sum, mut want) = (party.keys.add_bytes(&x, &y, None).unwrap().0, Vec::new());
    for _ in 0..3 {
        sum = party.keys.add_bytes(&sum, &x, None).unwrap().0;
    }
    for i in 0..10 {
        want.push(a[i].wrapping_mul(4).wrapping_add(b[i]));
    }
    assert_eq!(party.secret.decrypt_bytes(&sum).unwrap(), want);
    let fresh = party.keys.refresh_bytes(&sum).unwrap();
    assert!(fresh.digits().0.variance() < sum.digits().0.variance());
    assert_eq!(party.secret.decrypt_bytes(&fresh).unwrap(), want);
}

#[test]
fn bytes_that_do_not_fit_are_refused() {
    let mut party = Party::toy(&TOY);
    let refused = party.secret.encrypt_bytes(&[1]);
    let text = refused.expect_err("refused").to_string();
    assert!(text.contains("4 bits"), "{text}");
    assert!(ByteTable::new(&party.session, |v| v).is_err());
    party = Party::toy(&TOY_BYTES);
    assert!(matches!(
        party.secret.encrypt_bytes(&[]),
        Err(Error::Shape { .. })
    ));
    let digits = |party: &mut Party, count: usize, most: i64| {
        party.encrypt(&vec![most - 1; count], most - 15..=most)
    };
    let (two, three) = (digits(&mut party, 2, 15), digits(&mut party, 3, 15));
    let wide = digits(&mut party, 2, 16);
    assert!(matches!(
        EncryptedBytes::from_digits(wide, three),
        Err(Error::Shape { .. })
    ));
    let (wide, other) = (digits(&mut party, 2, 16), digits(&mut party, 2, 15));
    let refused = EncryptedBytes::from_digits(two, wide);
    assert!(matches!(refused, Err(Error::MessageRange { .. })));
    let x = EncryptedBytes::from_digits(other, digits(&mut party, 2, 15)).unwrap();
    let carry = party.encrypt(&[0, 2], 0..=2);
    let refused = party.keys.add_bytes(&x, &x, Some(&carry));
    assert!(matches!(refused, Err(Error::MessageRange { .. })));
    let one = party.encrypt(&[0], 0..=1);
    let refused = party.keys.add_bytes(&x, &x, Some(&one));
    assert!(matches!(refused, Err(Error::Shape { .. })));
    let mut stranger = Party::new(party.session.params(), 8);
    let (_, theirs) = packing(&mut stranger);
    let table = ByteTable::new(&party.session, |v| v).unwrap();
    let refused = (party.keys).look_up_bytes(&theirs, &x, &table, &mut no_progress);
    assert!(matches!(refused, Err(Error::KeyMismatch { .. })));
}

#[test]
#[ignore = "full size; make test-long"]
fn bytes_at_full_size() {
    for group in [1, 3] {
        let params = TfheParams::with_group(4, Failure::Below128, group).unwrap();
        let mut party = Party::new(&params, 4);
        let (_, key) = packing(&mut party);
        let bytes = [0u8, 93, 255];
        let x = (party.secret)
            .encrypt_bytes_with(&bytes, &mut party.random)
            .unwrap();
        let table = ByteTable::new(&party.session, |v| v.wrapping_mul(29) ^ 0x66).unwrap();
        let keys = &party.keys;
        let y = keys
            .look_up_bytes(&key, &x, &table, &mut no_progress)
            .unwrap();
        let (sum, over) = keys.add_bytes(&y, &x, None).unwrap();
        let sums = bytes.map(|v| u32::from(v) + u32::from(v.wrapping_mul(29) ^ 0x66));
        let got = party.secret.decrypt_bytes(&sum).unwrap();
        assert_eq!(got, sums.map(|s| s as u8));
        let got = party.secret.decrypt(&over).unwrap();
        assert_eq!(got, sums.map(|s| i64::from(s > 255)));
    }
}
