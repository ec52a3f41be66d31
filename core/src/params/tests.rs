use super::*;
use PrimeSpec::Bits;

fn one_prime(log_n: u32, levels: usize, special: &[u32], per_digit: usize) -> ParamsLiteral {
    let mut chain = vec![vec![Bits(50)]];
    chain.resize(levels + 1, vec![Bits(40)]);
    let special = special.iter().map(|&b| Bits(b)).collect();
    ParamsLiteral {
        log_n,
        chain,
        special,
        log_scale: 40,
        limbs_per_digit: per_digit,
    }
}

#[test]
fn presets_are_inside_the_table() {
    for name in Params::preset_names() {
        let params = Params::preset(name).unwrap();
        let report = params.security_report();
        assert!(
            report.claimed_bits() >= 128 && report.margin_bits() >= 0.0,
            "{name}: {report}"
        );
        assert!(
            params
                .ring_spec()
                .moduli()
                .iter()
                .all(|m| m.value() % (1 << 17) == 1),
            "{name}"
        );
    }
    let n14 = Params::preset("n14_k9").unwrap();
    assert_eq!((n14.chain_limbs().len(), n14.digit_groups().len()), (9, 9));
    assert!((n14.log_qp() - 420.0).abs() < 0.5);
    let n15 = Params::preset("n15_k15").unwrap();
    assert_eq!((n15.chain_limbs().len(), n15.digit_groups().len()), (15, 5));
    assert!((n15.log_qp() - 830.0).abs() < 0.5);
    assert!(matches!(
        Params::preset("n9"),
        Err(Error::UnknownName { .. })
    ));
}

#[test]
fn limits_hold_to_the_bit() {
    let limits = [
        (10, 26),
        (11, 53),
        (12, 106),
        (13, 214),
        (14, 430),
        (15, 868),
        (16, 1747),
        (17, 3523),
    ];
    for (log_n, limit) in limits {
        assert!(security::check("test", log_n, f64::from(limit)).is_ok());
        let error = security::check("test", log_n, f64::from(limit) + 0.01).unwrap_err();
        assert!(matches!(error, Error::InsecureParams { limit: l, .. } if l == limit));
    }
    assert!(security::check("test", 9, 1.0).is_err());
    // 50 + 8 * 40 + 50 = 420 fits N = 2^14; one level more does not.
    assert!(Params::new(&one_prime(14, 8, &[50], 1)).is_ok());
    let literal = one_prime(14, 9, &[50], 1);
    assert!(matches!(
        Params::new(&literal),
        Err(Error::InsecureParams { limit: 430, .. })
    ));
    assert!(Params::insecure_new(&literal).is_ok());
}

#[test]
fn scales_stay_near_their_target() {
    // Sixty levels of 2^40: no feedback would double the deviation at each of them.
    let params = Params::insecure_new(&one_prime(16, 60, &[50], 1)).unwrap();
    for level in params.levels() {
        let drift = (level.scale().to_f64() / 2f64.powi(40) - 1.0).abs();
        assert!(drift <= 2f64.powi(-15), "2^{}", drift.log2());
    }
    for (upper, lower) in params.levels()[1..].iter().zip(params.levels()) {
        let primes = upper
            .dropped()
            .iter()
            .map(|l| params.ring_spec().modulus(l).value());
        assert_eq!(
            &upper.scale().mul(upper.scale()).div_primes(primes),
            lower.scale()
        );
    }
}

#[test]
fn two_primes_per_level() {
    let params = Params::preset("n15_k14_2p").unwrap();
    assert_eq!(params.max_level(), 6);
    for level in &params.levels()[1..] {
        assert_eq!(level.dropped().len(), 2);
        assert!((level.scale().log2() - 80.0).abs() < 1e-3);
    }
}

#[test]
fn depth_is_enough() {
    for depth in 0..=40 {
        let params = Params::for_depth(depth).unwrap();
        assert_eq!(params.max_level(), depth);
        assert!(params.security_report().margin_bits() >= 0.0);
    }
    assert!(Params::for_depth(100).is_err());
}

#[test]
fn literals_round_trip() {
    for params in [
        Params::preset("n13_k3").unwrap(),
        Params::insecure_toy(3).unwrap(),
    ] {
        let json = serde_json::to_string(params.literal()).unwrap();
        let literal: ParamsLiteral = serde_json::from_str(&json).unwrap();
        let again = Params::insecure_new(&literal).unwrap();
        assert_eq!(again.id(), params.id());
        assert_eq!(again.literal(), params.literal());
    }
    assert_ne!(
        Params::insecure_toy(2).unwrap().id(),
        Params::insecure_toy(3).unwrap().id()
    );
}

#[test]
fn nonsense_is_refused() {
    let good = one_prime(10, 3, &[50], 1);
    let bad = [
        ParamsLiteral {
            log_n: 3,
            ..good.clone()
        },
        ParamsLiteral {
            log_n: 60,
            ..good.clone()
        },
        ParamsLiteral {
            chain: vec![],
            ..good.clone()
        },
        ParamsLiteral {
            chain: vec![vec![Bits(50)], vec![]],
            ..good.clone()
        },
        ParamsLiteral {
            chain: vec![vec![Bits(50)]; 200],
            ..good.clone()
        },
        ParamsLiteral {
            special: vec![],
            ..good.clone()
        },
        ParamsLiteral {
            special: vec![Bits(45)],
            ..good.clone()
        },
        ParamsLiteral {
            special: vec![Bits(62)],
            ..good.clone()
        },
        ParamsLiteral {
            special: vec![PrimeSpec::Prime((1 << 50) + 1)],
            ..good.clone()
        },
        ParamsLiteral {
            log_scale: 47,
            ..good.clone()
        },
        ParamsLiteral {
            log_scale: 0,
            ..good.clone()
        },
        ParamsLiteral {
            limbs_per_digit: 0,
            ..good.clone()
        },
        ParamsLiteral {
            limbs_per_digit: 2,
            ..good.clone()
        },
        ParamsLiteral {
            limbs_per_digit: 9,
            ..good.clone()
        },
    ];
    for literal in bad {
        assert!(Params::insecure_new(&literal).is_err(), "{literal:?}");
    }
}

#[test]
fn key_requests_join() {
    let params = Params::insecure_toy(3).unwrap();
    let a = KeyRequest::new()
        .with_rotation(1, 3)
        .with_relinearisation(2);
    let b = KeyRequest::new()
        .with_rotation(1, 2)
        .with_rotation(-511, 3)
        .with_rotation(0, 1);
    let all = a.union(&b).with_conjugation(1);
    assert_eq!(all.relinearisation(), Some(2));
    // 1 and -511 are one rotation of 512 slots; 0 is none.
    let galois: Vec<_> = all.galois_elements(&params).into_iter().collect();
    assert_eq!(galois, [(5, 3), (2047, 1)]);
    assert_eq!(all.count(&params), 3);
    assert!(all.seeded_bytes(&params) > 0);
    assert_eq!(rotation_element(&params, 2), 25);
}

#[test]
fn absurd_depths_are_refused() {
    assert_eq!(Params::insecure_toy(125).unwrap().max_level(), 125);
    for depth in [86, 1 << 33, usize::MAX] {
        let error = Params::for_depth(depth).unwrap_err();
        assert!(matches!(error, Error::InvalidParams { .. }), "{error}");
        let error = Params::insecure_toy(depth.max(200)).unwrap_err();
        assert!(matches!(error, Error::InvalidParams { .. }), "{error}");
    }
}

/// Explicit primes at one width on every level above 0.
fn given(levels: usize, bits: u32) -> ParamsLiteral {
    let mut literal = one_prime(10, 0, &[50], 1);
    let primes = ringloom_ntt::arith::primes_near(1 << bits, 1 << 11);
    let primes = primes.take(levels).map(|p| vec![PrimeSpec::Prime(p)]);
    literal.chain.extend(primes);
    literal
}

#[test]
fn given_primes_must_hold_the_scale() {
    // Too wide: the scale would shrink to nothing. Too narrow: its width would double per level.
    for (levels, bits) in [(8, 50), (100, 30)] {
        let error = Params::insecure_new(&given(levels, bits)).unwrap_err();
        assert!(
            error.to_string().contains("do not hold the scale"),
            "{error}"
        );
    }
}

#[test]
fn every_limit_is_exact() {
    // Level 0 only, so that any number of bits can be met: primes just below powers of two.
    let literal = |log_n: u32, bits: u32| {
        let count = bits.div_ceil(60).max(2);
        let width = |i: u32| (i + 1) * bits / count - i * bits / count;
        let mut widths: Vec<u32> = (0..count).map(width).collect();
        widths.sort_unstable();
        let special = vec![Bits(widths.pop().unwrap())];
        ParamsLiteral {
            log_n,
            chain: vec![widths.into_iter().map(Bits).collect()],
            special,
            log_scale: 10,
            limbs_per_digit: 1,
        }
    };
    let limits = [53, 106, 214, 430, 868, 1747, 3523];
    for (log_n, limit) in (11..=17).zip(limits) {
        let at = Params::new(&literal(log_n, limit)).unwrap();
        assert!((0.0..0.1).contains(&at.security_report().margin_bits()));
        let above = Params::new(&literal(log_n, limit + 1)).unwrap_err();
        assert!(matches!(above, Error::InsecureParams { limit: l, .. } if l == limit));
    }
}
