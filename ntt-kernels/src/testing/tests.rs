use std::sync::Arc;

use super::{
    faulty::{Fault, Faulty},
    *,
};
use crate::{
    Error, Ring,
    arith::primes_below,
    device::Device,
    poly::{Cmd, CmdKind, Domain, ElementwiseOp, RingSpec, Shape},
    reference::ReferenceDevice,
};

fn tiny(device: &dyn Device) -> Report {
    suite::run(&[device], specs::tiny()).remove(0)
}

fn dual(fault: Fault) -> Dual {
    Dual::new(Arc::new(ReferenceDevice::new()), Arc::new(Faulty(fault)))
}

#[test]
fn a_correct_device_with_fused_kinds_passes() {
    let report = tiny(&Faulty(Fault::None));
    assert!(report.passed(), "{report}");
    assert_eq!(
        report.checks,
        2 * 27,
        "two inputs, one batch, every program"
    );
}

#[test]
fn devices_of_one_run_have_reports_of_their_own() {
    let good = Faulty(Fault::None);
    let bad = Faulty(Fault::LastWord(CmdKind::Copy));
    let reports = suite::run(&[&bad, &good], specs::tiny());
    assert_eq!(
        reports.iter().map(Report::passed).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(reports[0].checks, reports[1].checks);
}

#[test]
fn a_correct_pair_passes_the_suite() {
    let report = tiny(&dual(Fault::None));
    assert!(report.passed(), "{report}");
}

#[test]
fn a_wrong_word_is_found_in_every_kind() {
    for kind in CmdKind::ALL {
        let report = tiny(&Faulty(Fault::LastWord(kind)));
        let named = |f: &Failure| f.check.contains(kind.name());
        assert!(report.failures.iter().any(named), "{}", kind.name());
    }
}

#[test]
fn words_that_are_not_reduced_are_found() {
    let exempt = CmdKind::ExpandSeed; // its words are never 0
    for kind in CmdKind::ALL.into_iter().filter(|&k| k != exempt) {
        assert!(
            !tiny(&Faulty(Fault::NotReduced(kind))).passed(),
            "{}",
            kind.name()
        );
    }
}

#[test]
fn changed_sources_and_surroundings_are_found() {
    for kind in CmdKind::ALL {
        let has_sources = !matches!(kind, CmdKind::Ntt | CmdKind::ExpandSeed);
        if has_sources {
            let report = tiny(&Faulty(Fault::Source(kind)));
            assert!(!report.passed(), "source of {}", kind.name());
        }
        for fault in [Fault::Outside(kind), Fault::OtherLimb(kind)] {
            assert!(!tiny(&Faulty(fault)).passed(), "{fault:?}");
        }
    }
}

#[test]
fn results_that_change_from_run_to_run_are_found() {
    for kind in CmdKind::ALL {
        let fault = Fault::Sometimes(kind);
        assert!(!tiny(&Faulty(fault)).passed(), "{fault:?}");
    }
}

#[test]
fn wrong_downloads_are_found() {
    assert!(!tiny(&Faulty(Fault::Download)).passed());
}

fn small() -> (RingSpec, Shape) {
    let spec = RingSpec::new(4, &primes_below(40, 32, 3).unwrap()).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 4);
    (spec, shape)
}

fn add_on(device: &dyn Device, limbs: usize) -> crate::Result<Ring> {
    let (spec, shape) = small();
    let ring = Ring::new(device, &spec)?;
    let words = Input::Maximal.words(&spec, shape);
    let a = ring.upload(shape, Domain::Eval, &words)?;
    let mut dst = ring.upload(shape, Domain::Eval, &words)?;
    let limbs = crate::poly::LimbSet::range(0, limbs);
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Add,
        dst: dst.view_mut().polys(1, 1, 1)?.with_limbs(limbs)?,
        a: None,
        b: Some(a.view().polys(0, 1, 1)?.with_limbs(limbs)?),
    })?;
    Ok(ring)
}

#[test]
fn a_pair_names_the_command_and_the_first_word() {
    let kind = CmdKind::Elementwise;
    add_on(&dual(Fault::None), 2).unwrap();
    for (fault, part) in [
        (Fault::LastWord(kind), "polynomial 0, limb 1, word 15"),
        (
            Fault::Source(kind),
            "source differs at polynomial 0, limb 0, word 0",
        ),
        (
            Fault::Outside(kind),
            "outside of its destination, at polynomial 0, limb 0, word 0",
        ),
    ] {
        match add_on(&dual(fault), 2) {
            Err(Error::DeviceFailed { op, device, cause }) => {
                assert_eq!((op, &*device), ("elementwise", "dual:faulty"));
                assert!(cause.contains(part), "{cause}");
            }
            other => panic!("{fault:?}: expected a failed device, got {other:?}"),
        }
    }
}

#[test]
fn a_failed_pair_stays_failed() {
    let (spec, shape) = small();
    let ring = Ring::new(&dual(Fault::LastWord(CmdKind::Ntt)), &spec).unwrap();
    let words = Input::Random(1).words(&spec, shape);
    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
    let error = ring.ntt(&mut buf).unwrap_err();
    assert_eq!(ring.wait(), Err(error.clone()));
    assert_eq!(ring.download(&buf), Err(error.clone()));
    assert_eq!(ring.alloc(shape, Domain::Coeff).err(), Some(error));
}

#[test]
fn pairs_catch_a_wrong_word_in_every_kind() {
    for kind in CmdKind::ALL {
        let report = tiny(&dual(Fault::LastWord(kind)));
        let found = |f: &Failure| {
            f.cause
                .starts_with(&format!("{}: device dual", kind.name()))
        };
        assert!(report.failures.iter().any(found), "{}", kind.name());
    }
}
