use ringloom_ntt::arith::is_prime;

use super::{PrimeSpec::*, *};

/// The largest primes below `2^50` that are 1 modulo `2^17` (from an independent script).
const TOP_50: [u64; 4] = [
    1_125_899_903_827_969,
    1_125_899_902_124_033,
    1_125_899_887_312_897,
    1_125_899_886_395_393,
];

fn one(
    log_n: u32,
    q0: u32,
    depth: usize,
    scale: u32,
    special: &[u32],
    digits: usize,
) -> ParamsLiteral {
    ParamsLiteral::one_prime_per_level(log_n, q0, depth, scale, special, digits)
}

fn values(params: &Params, limbs: LimbSet) -> Vec<u64> {
    let value = |i| params.ring_spec().modulus(i).value();
    limbs.iter().map(value).collect()
}

/// Largest relative distance of a scale from `2^log_scale`.
fn drift(params: &Params) -> f64 {
    let top = Scale::from_log2(params.log_scale());
    let distance = |l: &LevelSpec| (l.scale().ratio(&top) - 1.0).abs();
    params.levels().iter().map(distance).fold(0.0, f64::max)
}

/// What must hold for any parameters.
fn check(params: &Params) {
    let table = values(params, params.ring_spec().all_limbs());
    let two_n = 2 * params.n() as u64;
    for (i, &q) in table.iter().enumerate() {
        assert!(is_prime(q) && q % two_n == 1 && !table[..i].contains(&q));
    }
    let (chain, special) = (params.chain_limbs(), params.special_limbs());
    assert_eq!(chain.union(special), params.ring_spec().all_limbs());
    assert_eq!(chain.len() + special.len(), table.len());
    assert_eq!(chain, params.level(params.max_level()).unwrap().limbs());

    // The exact recurrence of the scales, up to half a unit of 2^-128.
    let top = params.level(params.max_level()).unwrap().scale();
    assert_eq!(*top, Scale::from_log2(params.log_scale()));
    for pair in params.levels().windows(2) {
        let (below, above) = (&pair[0], &pair[1]);
        let divisor = params.product(above.drop()) << 128u32;
        let square = above.scale().mantissa() * above.scale().mantissa();
        let back = below.scale().mantissa() * &divisor;
        let error = if back > square {
            back - square
        } else {
            square - back
        };
        assert!(error * 2u32 <= divisor);
    }
    for (l, level) in params.levels().iter().enumerate() {
        assert_eq!(level.gadget().source(), level.limbs());
        assert_eq!(level.gadget().special(), special);
        assert_eq!(level.mod_down().kept(), level.limbs());
        assert_eq!(level.mod_down().dropped(), special);
        let Some(below) = l.checked_sub(1).map(|l| &params.levels()[l]) else {
            assert!(level.drop().is_empty() && level.rescale().is_none());
            assert!(level.mod_down_rescale().is_none());
            continue;
        };
        assert_eq!(level.drop(), level.limbs().difference(below.limbs()));
        let (rescale, merged) = (level.rescale().unwrap(), level.mod_down_rescale().unwrap());
        assert_eq!(
            (rescale.kept(), rescale.dropped()),
            (below.limbs(), level.drop())
        );
        assert_eq!(merged.kept(), below.limbs());
        assert_eq!(merged.dropped(), level.drop().union(special));
    }
    let groups = params.digit_groups();
    assert_eq!(groups.len(), params.literal().digits);
    let covered = groups.iter().fold(LimbSet::EMPTY, |all, &g| all.union(g));
    assert_eq!(covered, chain);
    assert_eq!(groups.iter().map(|g| g.len()).sum::<usize>(), chain.len());
    let p = params.product(special);
    assert!(groups.iter().all(|&g| params.product(g) <= p));
}

#[test]
fn presets_are_what_their_table_says() {
    // name, log N, limbs, special limbs, digits, depth, log QP
    let table = [
        ("n12_k2", 12, 2, 1, 2, 1, 104.0),
        ("n13_k3", 13, 3, 1, 3, 2, 180.0),
        ("n14_k9", 14, 9, 1, 9, 8, 420.0),
        ("n15_k15", 15, 15, 3, 5, 14, 830.0),
        ("n15_2p", 15, 18, 2, 9, 8, 840.0),
        ("n16_k32", 16, 32, 6, 6, 31, 1745.0),
    ];
    assert_eq!(Params::preset_names(), table.map(|row| row.0));
    for (name, log_n, limbs, special, digits, depth, log_qp) in table {
        let params = Params::preset(name).unwrap();
        check(&params);
        assert_eq!(params.log_n(), log_n, "{name}");
        assert_eq!(params.slots(), 1 << (log_n - 1), "{name}");
        assert_eq!(params.chain_limbs().len(), limbs, "{name}");
        assert_eq!(params.special_limbs().len(), special, "{name}");
        assert_eq!(params.digit_groups().len(), digits, "{name}");
        assert_eq!(params.max_level(), depth, "{name}");
        assert!(
            (params.log_qp() - log_qp).abs() < 1e-3,
            "{name}: {}",
            params.log_qp()
        );
        let report = params.security_report();
        assert!(
            report.is_secure() && report.margin_bits.unwrap() >= 1.9,
            "{name}: {report}"
        );
        assert!(drift(&params) < 1e-3, "{name}: {}", drift(&params));
    }
    let error = Params::preset("n14").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Params::preset: unknown preset, expected one of n12_k2, n13_k3, n14_k9, n15_k15, n15_2p, \
         n16_k32, got \"n14\"; see Params::preset_names"
    );
}

#[test]
fn special_primes_are_the_largest_and_level_zero_follows() {
    let params = Params::preset("n14_k9").unwrap();
    assert_eq!(values(&params, params.special_limbs()), TOP_50[..1]);
    assert_eq!(
        values(&params, params.level(0).unwrap().limbs()),
        TOP_50[1..2]
    );
    let params = Params::preset("n15_k15").unwrap();
    assert_eq!(values(&params, params.special_limbs()), TOP_50[..3]);
    assert_eq!(
        values(&params, params.level(0).unwrap().limbs()),
        TOP_50[3..]
    );
    // One table for every degree where there are enough primes.
    let all = params.ring_spec().all_limbs();
    assert!(values(&params, all).iter().all(|q| q % (1 << 17) == 1));
}

#[test]
fn sixty_levels_do_not_drift() {
    for (log_n, log2_bound) in [(10, -15), (15, -15), (16, -15), (17, -14)] {
        let literal = one(log_n, 50, 60, 40, &[50], 61);
        let params = Params::new_insecure(&literal).unwrap();
        assert_eq!(params.max_level(), 60);
        assert!(
            drift(&params) < 2f64.powi(log2_bound),
            "log_n {log_n}: 2^{:.2}",
            drift(&params).log2()
        );
    }
    check(&Params::new_insecure(&one(10, 50, 60, 40, &[50], 61)).unwrap());
}

#[test]
fn scarce_primes_are_searched_modulo_two_n() {
    // Primes of 25 bits that are 1 modulo 2^17 are too far apart for eight levels.
    let params = Params::new_insecure(&one(10, 35, 8, 25, &[35], 9)).unwrap();
    check(&params);
    assert!(drift(&params) < 1e-2, "{}", drift(&params));
    let chain = values(&params, params.chain_limbs());
    assert!(chain.iter().any(|q| q % (1 << 17) != 1));
}

#[test]
fn two_primes_per_level_hold_the_scale() {
    let params = Params::preset("n15_2p").unwrap();
    for (l, level) in params.levels().iter().enumerate() {
        assert_eq!(level.limbs(), LimbSet::range(0, 2 * l + 2));
        if l > 0 {
            assert_eq!(level.drop(), LimbSet::range(2 * l, 2 * l + 2));
            assert!(
                values(&params, level.drop())
                    .iter()
                    .all(|&q| q >> 39 == 1 || q >> 40 == 1)
            );
        }
    }
    assert!(drift(&params) < 2f64.powi(-22), "{}", drift(&params));
    // Unequal widths, three primes on one level, and two primes at the bottom under one above.
    let mut literal = ParamsLiteral::two_primes_per_level(10, 45, 3, 71, &[50, 50], 4);
    literal.q[2] = vec![Bits(24), Bits(24), Bits(23)];
    let params = Params::new_insecure(&literal).unwrap();
    check(&params);
    assert_eq!(params.level(2).unwrap().drop().len(), 3);
    let mut literal = one(10, 30, 4, 45, &[50], 6);
    literal.q[0] = vec![Bits(30), Bits(30)];
    let params = Params::new_insecure(&literal).unwrap();
    check(&params);
    assert_eq!(params.level(0).unwrap().limbs().len(), 2);
}

#[test]
fn literal_round_trips_keep_the_identity() {
    let mut ids = Vec::new();
    for name in Params::preset_names() {
        let params = Params::preset(name).unwrap();
        let json = serde_json::to_string(&params.literal()).unwrap();
        let literal: ParamsLiteral = serde_json::from_str(&json).unwrap();
        let back = Params::new(&literal).unwrap();
        assert_eq!(back.id(), params.id(), "{name}");
        assert_eq!(back, params);
        assert_eq!(back.literal(), params.literal());
        assert_eq!(back.ring_spec(), params.ring_spec());
        for (a, b) in back.levels().iter().zip(params.levels()) {
            assert_eq!(a.scale(), b.scale());
        }
        assert!(!ids.contains(&params.id()));
        assert_eq!(ParamsId::from_bytes(*params.id().as_bytes()), params.id());
        ids.push(params.id());
    }
    let written = r#"{"log_n": 14, "q": [[{"bits": 50}], [{"bits": 40}], [{"bits": 40}]],
                      "special": [{"bits": 50}], "log_scale": 40, "digits": 3}"#;
    let literal: ParamsLiteral = serde_json::from_str(written).unwrap();
    assert_eq!(literal, one(14, 50, 2, 40, &[50], 3));
    let extra = written.replace("\"digits\"", "\"dnum\": 3, \"digits\"");
    assert!(serde_json::from_str::<ParamsLiteral>(&extra).is_err());
}

#[test]
fn identity_depends_on_every_part() {
    let base = Params::insecure_toy(2).unwrap().literal();
    let id = |literal: &ParamsLiteral| Params::new_insecure(literal).unwrap().id();
    let mut variants = vec![base.clone()];
    let mut change = |f: &dyn Fn(&mut ParamsLiteral)| {
        let mut literal = base.clone();
        f(&mut literal);
        variants.push(literal);
    };
    change(&|l| l.log_n = 11);
    change(&|l| {
        l.q.truncate(2);
        l.digits = 2;
    });
    change(&|l| l.q.swap(1, 2));
    change(&|l| l.special[0] = Bits(55));
    change(&|l| {
        l.digits = 2;
        l.special.push(Bits(50));
    });
    change(&|l| l.special.push(Bits(50)));
    // The same primes in other levels.
    change(&|l| {
        l.q[0].push(Value(0));
        l.q[0][1] = l.q[1][0];
        l.q.remove(1);
    });
    let ids: Vec<ParamsId> = variants.iter().map(id).collect();
    for (i, a) in ids.iter().enumerate() {
        assert!(!ids[..i].contains(a), "variant {i}");
    }
    // The scale alone: without a level above 0 it is free.
    assert_ne!(
        id(&one(10, 50, 0, 40, &[50], 1)),
        id(&one(10, 50, 0, 39, &[50], 1))
    );
}

#[test]
fn every_limit_is_exact() {
    // Level 0 only, so that any number of bits can be met: primes just below powers of two.
    let literal = |log_n: u32, bits: u32| {
        let count = bits.div_ceil(60).max(2);
        let mut widths: Vec<u32> = (0..count)
            .map(|i| (i + 1) * bits / count - i * bits / count)
            .collect();
        widths.sort_unstable();
        let special = widths.pop().unwrap();
        let digits = widths.len();
        let q = vec![widths.into_iter().map(Bits).collect()];
        let special = vec![Bits(special)];
        ParamsLiteral {
            log_n,
            q,
            special,
            log_scale: 8,
            digits,
        }
    };
    for (log_n, limit) in (11..=17).zip([53, 106, 214, 430, 868, 1747, 3523]) {
        let at = Params::new(&literal(log_n, limit)).unwrap();
        assert_eq!(
            at.security_report().qp_bits,
            u64::from(limit),
            "log_n {log_n}"
        );
        let report = at.security_report();
        assert!(report.is_secure() && report.margin_bits.unwrap() >= 0.0);
        let above = Params::new(&literal(log_n, limit + 1)).unwrap_err();
        let Error::InsecureParams {
            log_qp,
            limit: stated,
            ..
        } = above
        else {
            panic!("log_n {log_n}: {above}");
        };
        assert_eq!(stated, limit);
        assert!(log_qp > f64::from(limit) && log_qp <= f64::from(limit + 1));
        let accepted = Params::new_insecure(&literal(log_n, limit + 1)).unwrap();
        assert!(!accepted.security_report().is_secure());
    }
}

#[test]
fn insecure_parameters_are_refused_by_name() {
    let error = Params::new(&one(13, 50, 8, 40, &[50], 9)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Params::new: the parameters are below 128 bits of security, expected log2(QP) <= 214 at \
         N = 2^13, got 420.00; use a ring degree of 2^14 or more, or fewer or narrower primes"
    );
    // Not tabled, and tabled but too small for any chain.
    for log_n in [4, 9, 10] {
        let literal = one(log_n, 26, 0, 8, &[26], 1);
        assert!(matches!(
            Params::new(&literal),
            Err(Error::InsecureParams { .. })
        ));
        check(&Params::new_insecure(&literal).unwrap());
    }
    let toy = Params::insecure_toy(3).unwrap();
    assert_eq!((toy.n(), toy.max_level()), (1024, 3));
    assert!(matches!(
        Params::new(&toy.literal()),
        Err(Error::InsecureParams { .. })
    ));
    assert!(toy.security_report().to_string().contains("INSECURE"));
}

#[test]
fn depths_get_the_smallest_secure_degree() {
    for depth in (0..=20).chain([40, 60, 85]) {
        let params = Params::for_depth(depth).unwrap();
        assert_eq!(params.max_level(), depth);
        assert!(params.security_report().is_secure());
        assert_eq!(params.log_scale(), 40);
        // The cheapest chain of that depth is insecure at half the degree.
        let half = one(params.log_n() - 1, 50, depth, 40, &[50], depth + 1);
        assert!(
            matches!(Params::new(&half), Err(Error::InsecureParams { .. })),
            "{depth}"
        );
        if depth <= 20 {
            check(&params);
        }
    }
    assert_eq!(
        Params::for_depth(8).unwrap(),
        Params::preset("n14_k9").unwrap()
    );
    for depth in [86, 1000, usize::MAX] {
        assert!(
            matches!(Params::for_depth(depth), Err(Error::InvalidParams { .. })),
            "{depth}"
        );
    }
    for levels in [127, usize::MAX] {
        let error = Params::insecure_toy(levels).unwrap_err();
        assert!(matches!(error, Error::InvalidParams { .. }), "{error}");
    }
    check(&Params::insecure_toy(126).unwrap());
}

#[test]
fn malformed_literals_are_typed_errors() {
    type Change = fn(&mut ParamsLiteral);
    let cases: [(Change, &str); 20] = [
        (|l| l.log_n = 3, "degree"),
        (|l| l.log_n = u32::MAX, "degree"),
        (|l| l.log_scale = 7, "scale is not supported"),
        (|l| l.log_scale = u32::MAX, "scale is not supported"),
        (|l| l.q.clear(), "no primes"),
        (|l| l.special.clear(), "no primes"),
        (|l| l.q[1].clear(), "adds no prime"),
        (|l| l.q[0] = vec![Bits(30); 126], "too many primes"),
        (|l| l.digits = 0, "digits"),
        (|l| l.digits = 4, "digits"),
        (|l| l.digits = 2, "special primes are too small"),
        (|l| l.special[0] = Bits(62), "width"),
        (|l| l.q[0][0] = Bits(0), "width"),
        (|l| l.q[1][0] = Bits(41), "add up"),
        (|l| l.q[0][0] = Bits(44), "headroom"),
        (|l| l.q[1][0] = Value(1 << 40), "not prime"),
        (|l| l.q[1][0] = Value(1_099_511_627_791), "roots of unity"),
        (|l| l.q[1][0] = Value(u64::MAX), "too wide"),
        (|l| l.special.push(l.special[0]), "there twice"),
        // A prime of 50 bits where the scale has 40.
        (|l| l.q[2][0] = Value(TOP_50[2]), "drifts away"),
    ];
    let base = Params::insecure_toy(2).unwrap().literal();
    assert!(is_prime(1_099_511_627_791));
    for (change, part) in cases {
        let mut literal = base.clone();
        change(&mut literal);
        let error = Params::new_insecure(&literal).unwrap_err();
        assert!(
            matches!(error, Error::InvalidParams { .. }),
            "{part}: {error}"
        );
        let text = error.to_string();
        assert!(text.contains(part), "{part}: {text}");
        let form = ["Params::new_insecure: ", ", expected ", ", got ", "; "];
        assert!(form.iter().all(|f| text.contains(f)), "{text}");
    }
    // Widths for which there are too few primes.
    let error = Params::new_insecure(&one(16, 23, 0, 8, &[23; 100], 1)).unwrap_err();
    assert!(error.to_string().contains("too few primes"), "{error}");
    let error = Params::new_insecure(&one(16, 40, 40, 20, &[50], 41)).unwrap_err();
    assert!(
        error.to_string().contains("cannot keep the scale"),
        "{error}"
    );
}

#[test]
fn levels_above_the_top_are_errors() {
    let params = Params::insecure_toy(2).unwrap();
    assert!(params.level(2).is_ok());
    let error = params.level(3).unwrap_err();
    assert!(matches!(
        error,
        Error::LevelExhausted {
            level: 2,
            needed: 3,
            ..
        }
    ));
}
