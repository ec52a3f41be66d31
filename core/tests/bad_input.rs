//! Bad input: each a typed error that says what, expected, got and what to do.

mod common;

use std::{ops::ControlFlow, sync::Arc};

use common::{Party, values};
use ringloom::{
    Encoder, Error, EvaluationKeys, KeyRequest, Params, ParamsLiteral, Session,
    circuits::{Basis, Diagonals, LinearPlan, LinearTransform, PolyPlan},
    matrix::{EncryptedVectors, MatVec, MatVecPlan, Packing},
    params::PrimeSpec::Bits,
    rlwe::SecureRandom,
};
use ringloom_ntt::{
    device::{Capabilities, Device, RingBackend},
    poly::RingSpec,
    reference::ReferenceDevice,
};

fn party(levels: usize, request: &KeyRequest) -> Party {
    Party::new(&Params::insecure_toy(levels).unwrap(), request, 1)
}

/// The message names the operation, what was expected and got, and a remedy.
#[track_caller]
fn check(error: Error, op: &str) {
    let text = error.to_string();
    assert!(text.starts_with(op), "{text}");
    for part in ["expected ", "got ", "; "] {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

macro_rules! refused {
    ($op:literal, $pattern:pat, $result:expr) => {{
        let error = $result.unwrap_err();
        assert!(matches!(error, $pattern), "{error:?}");
        check(error, $op);
    }};
}

#[test]
fn too_few_levels() {
    let p = party(1, &KeyRequest::new().with_relinearisation(1));
    let ct = p.encryptor.encrypt_at(&[1.0], 0).unwrap();
    let e = &p.evaluator;
    refused!(
        "Evaluator::mul_rescale",
        Error::LevelExhausted { .. },
        e.mul_rescale(&ct, &ct)
    );
    let product = e.mul_scalar(&ct, 2.0).unwrap();
    refused!(
        "Evaluator::rescale",
        Error::LevelExhausted { .. },
        e.rescale(&product)
    );
    refused!(
        "Evaluator::align_to",
        Error::LevelExhausted { .. },
        e.align_to(&ct, 1)
    );
    refused!(
        "Params::level",
        Error::LevelExhausted { .. },
        p.encryptor.encrypt_at(&[1.0], 2)
    );
    let plan = PolyPlan::new(Basis::Chebyshev, &[0.0, 1.0, 0.0, 0.5, 1.0], (-1.0, 1.0)).unwrap();
    refused!(
        "Evaluator::evaluate_poly",
        Error::LevelExhausted { .. },
        e.evaluate_poly(&plan, &ct)
    );
    refused!(
        "LinearPlan::new",
        Error::LevelExhausted { .. },
        LinearPlan::new(p.session.params(), 0, &[1])
    );
}

#[test]
fn levels_and_powers_that_do_not_fit() {
    let p = party(2, &KeyRequest::new().with_relinearisation(2));
    let (high, low) = (
        p.encryptor.encrypt(&[1.0]).unwrap(),
        p.encryptor.encrypt_at(&[1.0], 1).unwrap(),
    );
    let e = &p.evaluator;
    refused!(
        "Evaluator::add",
        Error::LevelMismatch {
            expected: 2,
            got: 1,
            ..
        },
        e.add(&high, &low)
    );
    refused!(
        "Evaluator::mul",
        Error::LevelMismatch { .. },
        e.mul(&high, &low)
    );
    let plain = Encoder::new(&p.session).encode(&[1.0], 1).unwrap();
    refused!(
        "Evaluator::mul_plain",
        Error::LevelMismatch { .. },
        e.mul_plain(&high, &plain)
    );
    let product = e.mul(&high, &high).unwrap();
    refused!(
        "Evaluator::add",
        Error::PowerMismatch { .. },
        e.add(&high, &product)
    );
    refused!(
        "Evaluator::mul",
        Error::PowerMismatch { .. },
        e.mul(&product, &product)
    );
    refused!(
        "Evaluator::rescale",
        Error::PowerMismatch { expected: 2, .. },
        e.rescale(&high)
    );
    refused!(
        "Evaluator::align_to",
        Error::PowerMismatch { .. },
        e.align_to(&product, 0)
    );
}

#[test]
fn cancelled_work() {
    let p = party(2, &KeyRequest::new());
    let request = KeyRequest::new()
        .with_rotation(1, 1)
        .with_relinearisation(1);
    let mut random = SecureRandom::insecure_from_seed([1; 32]);
    let mut stop = |_, _| ControlFlow::Break(());
    refused!(
        "SecretKey::evaluation_keys",
        Error::Cancelled {
            done: 1,
            total: 2,
            ..
        },
        p.secret
            .evaluation_keys_with(&request, &mut random, &mut stop)
    );
    let keys = p.secret.evaluation_keys(&request).unwrap();
    refused!(
        "EvaluationKeys::load",
        Error::Cancelled { .. },
        EvaluationKeys::load_with(p.secret.session(), &keys, &mut stop)
    );
}

#[test]
fn missing_keys() {
    let request = KeyRequest::new().with_rotation(1, 1);
    let p = party(2, &request);
    let ct = p.encryptor.encrypt(&[1.0]).unwrap();
    let e = &p.evaluator;
    refused!("Evaluator::mul", Error::KeyMissing { .. }, e.mul(&ct, &ct));
    refused!(
        "Evaluator::rotate",
        Error::KeyMissing { .. },
        e.rotate(&ct, 2)
    );
    refused!(
        "Evaluator::conjugate",
        Error::KeyMissing { .. },
        e.conjugate(&ct)
    );
    // The key is there, but for a lower level.
    refused!(
        "Evaluator::rotate",
        Error::KeyMissing { .. },
        e.rotate(&ct, 1)
    );
    assert!(
        e.rotate(&p.encryptor.encrypt_at(&[1.0], 1).unwrap(), 1)
            .is_ok()
    );
    let more = request.with_relinearisation(2);
    let keys = p
        .secret
        .evaluation_keys(&KeyRequest::new().with_rotation(1, 2))
        .unwrap();
    refused!(
        "test",
        Error::KeyMissing { .. },
        keys.check_answers("test", &more)
    );
}

#[test]
fn foreign_keys_and_parameters() {
    let request = KeyRequest::new().with_relinearisation(2);
    let (p, q) = (
        party(2, &request),
        Party::new(&Params::insecure_toy(2).unwrap(), &request, 2),
    );
    let (a, b) = (
        p.encryptor.encrypt(&[1.0]).unwrap(),
        q.encryptor.encrypt(&[1.0]).unwrap(),
    );
    refused!(
        "Evaluator::add",
        Error::KeyMismatch { .. },
        p.evaluator.add(&a, &b)
    );
    refused!(
        "Evaluator::negate",
        Error::KeyMismatch { .. },
        p.evaluator.negate(&b)
    );
    refused!(
        "Decryptor::decrypt",
        Error::KeyMismatch { .. },
        p.decryptor().decrypt(&b)
    );
    let other = party(3, &request);
    let c = other.encryptor.encrypt(&[1.0]).unwrap();
    refused!(
        "Evaluator::mul",
        Error::ParamsMismatch { .. },
        p.evaluator.mul(&a, &c)
    );
    refused!(
        "Decryptor::decrypt",
        Error::ParamsMismatch { .. },
        p.decryptor().decrypt(&c)
    );
    let plain = Encoder::new(&other.session).encode(&[1.0], 2).unwrap();
    refused!(
        "Evaluator::add_plain",
        Error::ParamsMismatch { .. },
        p.evaluator.add_plain(&a, &plain)
    );
    let public = other.secret.public_key().unwrap();
    refused!(
        "PublicKey::expand",
        Error::ParamsMismatch { .. },
        ringloom::Encryptor::new(&p.session, &public)
    );
    // The same parameters and key in another session: another ring.
    let elsewhere = Session::new(p.session.params(), &ReferenceDevice::new()).unwrap();
    let plain = Encoder::new(&elsewhere).encode(&[1.0], 2).unwrap();
    refused!(
        "elementwise",
        Error::Ring(_),
        p.evaluator.mul_plain(&a, &plain)
    );
}

#[test]
fn values_that_cannot_be_encoded() {
    let p = party(1, &KeyRequest::new());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused!(
            "Encryptor::encrypt",
            Error::NotFinite { index: 1, .. },
            p.encryptor.encrypt(&[0.0, bad])
        );
        let ct = p.encryptor.encrypt(&[1.0]).unwrap();
        refused!(
            "Evaluator::mul_scalar",
            Error::NotFinite { .. },
            p.evaluator.mul_scalar(&ct, bad)
        );
        refused!(
            "Evaluator::add_scalar",
            Error::NotFinite { .. },
            p.evaluator.add_scalar(&ct, bad)
        );
    }
    // Level 0 has 50 bits, the scale takes 40: 2^9 is the edge.
    assert!(p.encryptor.encrypt_at(&[500.0], 0).is_ok());
    refused!(
        "Encryptor::encrypt",
        Error::ValueOutOfRange { index: 0, .. },
        p.encryptor.encrypt_at(&[513.0], 0)
    );
    refused!(
        "Encryptor::encrypt",
        Error::ValueOutOfRange { .. },
        p.encryptor.encrypt(&[1e300])
    );
    let ct = p.encryptor.encrypt_at(&[1.0], 0).unwrap();
    refused!(
        "Evaluator::mul_scalar",
        Error::ValueOutOfRange { .. },
        p.evaluator.mul_scalar(&ct, 1e4)
    );
    refused!(
        "Encryptor::encrypt",
        Error::TooManyValues {
            slots: 512,
            got: 513,
            ..
        },
        p.encryptor.encrypt(&values(513, 1))
    );
    assert!(p.encryptor.encrypt(&[] as &[f64]).is_ok());
}

#[test]
fn shapes_that_do_not_fit() {
    let params = Params::insecure_toy(1).unwrap();
    let packing = Packing::new(512, 4, 4).unwrap();
    refused!(
        "MatVecPlan::new",
        Error::Shape { .. },
        MatVecPlan::new(&params, packing, 1, (3, 5))
    );
    refused!(
        "MatVecPlan::new",
        Error::Shape { .. },
        MatVecPlan::new(&params, packing, 1, (0, 4))
    );
    let plan = MatVecPlan::new(&params, packing, 1, (3, 4)).unwrap();
    let p = Party::new(&params, &plan.key_request(), 1);
    refused!(
        "MatVec::new",
        Error::Shape { .. },
        MatVec::new(&p.session, &plan, &[1.0; 11], None)
    );
    let matvec = MatVec::new(&p.session, &plan, &[1.0; 12], None).unwrap();
    let wide = Packing::new(512, 4, 8).unwrap();
    let x = EncryptedVectors::encrypt(&p.encryptor, wide, &[[0.0; 4]], 1).unwrap();
    refused!(
        "MatVec::apply",
        Error::Shape { .. },
        matvec.apply(&p.evaluator, &x)
    );
    refused!(
        "Diagonals::insert",
        Error::Shape { .. },
        Diagonals::new().insert(8, 8, vec![1.0])
    );
    refused!(
        "Diagonals::insert",
        Error::Shape { .. },
        Diagonals::new().insert(8, 0, vec![1.0; 3])
    );
    refused!(
        "LinearPlan::new",
        Error::Shape { .. },
        LinearPlan::new(&params, 1, &[])
    );
    refused!(
        "LinearPlan::new",
        Error::Shape { .. },
        LinearPlan::new(&params, 1, &[512])
    );
    let plan = LinearPlan::new(&params, 1, &[0, 1]).unwrap();
    refused!(
        "LinearTransform::new",
        Error::Shape { .. },
        LinearTransform::new(&p.session, plan, &Diagonals::new())
    );
}

#[test]
fn parameters_below_128_bits() {
    let literal = ParamsLiteral {
        log_n: 13,
        chain: [vec![vec![Bits(50)]], vec![vec![Bits(40)]; 3]].concat(),
        special: vec![Bits(50)],
        log_scale: 40,
        limbs_per_digit: 1,
    };
    refused!(
        "Params::new",
        Error::InsecureParams { limit: 214, .. },
        Params::new(&literal)
    );
    let insecure = Params::insecure_new(&literal).unwrap();
    assert_eq!(insecure.security_report().claimed_bits(), 0);
    refused!(
        "Params::preset",
        Error::UnknownName { .. },
        Params::preset("n99")
    );
}

#[test]
fn unknown_devices() {
    let error: Error = ringloom_ntt::open_device("warp", None)
        .err()
        .expect("no such device")
        .into();
    check(error, "open_device");
}

/// A device that is not the host CPU: secrets may not go there.
struct Remote(ReferenceDevice);

impl Device for Remote {
    fn name(&self) -> &str {
        "remote"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            host_cpu: false,
            ..self.0.capabilities()
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> ringloom_ntt::Result<Arc<dyn RingBackend>> {
        self.0.open_ring(spec)
    }
}

#[test]
fn secrets_stay_on_the_host() {
    let params = Params::insecure_toy(1).unwrap();
    let session = Session::new(&params, &Remote(ReferenceDevice::new())).unwrap();
    let error = ringloom::SecretKey::generate(&session).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Ring(ringloom_ntt::Error::SecretOnDevice { .. })
        ),
        "{error:?}"
    );
    let p = party(1, &KeyRequest::new());
    let public = p.secret.public_key().unwrap();
    let encryptor = ringloom::Encryptor::new(&session, &public).unwrap();
    let error = encryptor.encrypt(&[1.0]).unwrap_err();
    check(error, "Ring::embed_secret");
}
