//! Look-ups on encrypted integers, and a network of them.

use std::{ops::ControlFlow, rc::Rc};

use ringloom::{
    no_progress, open_device,
    rlwe::SecureRandom,
    tfhe::{
        Failure, IntFunction, IntLayer, IntMatrix, IntNetwork, LookUpTable, LweBatch,
        SeededTfheKeys, TfheKeys, TfheLiteral, TfheParams, TfheSecretKey, TfheSession,
    },
};

use serde::Deserialize;

use crate::{
    Result,
    case::{Case, Context, Facts, Timed, distance},
};

/// Ciphertexts of a batch.
const BATCH: usize = 256;

/// Key bits per step of the grouped set.
const GROUP: usize = 3;

/// The set of a name, as others count message and carry bits: 4 bits are `m2c2`; with `group` key
/// bits per step.
fn params(name: &str, group: usize, smoke: bool) -> Result<TfheParams> {
    if smoke {
        return Ok(TfheParams::insecure_toy(&TfheLiteral {
            message_bits: 4,
            norm: 5,
            lwe_dimension: 24,
            lwe_noise_log: 4,
            group,
            masks: 1,
            log_n: 9,
            mask_digits: (24, 1),
            body_digits: (24, 1),
            switch_digits: (4, 4),
        })?);
    }
    match name {
        "m2c2" => Ok(TfheParams::with_group(4, Failure::Below128, group)?),
        _ => Err(format!("no set for {name}").into()),
    }
}

/// A client, its server, and look-ups with known results.
struct Scene {
    session: TfheSession,
    secret: TfheSecretKey,
    seeded: SeededTfheKeys,
    keys: TfheKeys,
    input: LweBatch,
    want: Vec<f64>,
}

/// The function that is looked up.
fn function(v: i64) -> i64 {
    (v * v + 3) % 16
}

fn table(session: &TfheSession) -> Result<LookUpTable> {
    Ok(LookUpTable::new(session, 0..=15, function)?)
}

impl Scene {
    fn new(ctx: &Context, name: &str, count: usize) -> Result<Self> {
        Self::of(ctx, &params(name, 1, ctx.smoke)?, count)
    }

    fn of(ctx: &Context, params: &TfheParams, count: usize) -> Result<Self> {
        let session = TfheSession::new(params, &*ctx.device)?;
        let mut random = SecureRandom::insecure_from_seed([7; 32]);
        let secret = TfheSecretKey::generate_with(&session, &mut random)?;
        let seeded = secret.server_keys_with(&mut random, &mut |_, _| ControlFlow::Continue(()))?;
        let values: Vec<i64> = (0..count as i64).map(|i| (i * 7 + 5) % 16).collect();
        Ok(Self {
            keys: TfheKeys::load(&session, &seeded)?,
            input: secret.encrypt_with(&values, 0..=15, &mut random)?,
            want: values.iter().map(|&v| function(v) as f64).collect(),
            session,
            secret,
            seeded,
        })
    }

    fn facts(&self, note: &str) -> Facts {
        let params = self.session.params();
        let noise = params.noise();
        Facts {
            n: params.n(),
            limbs: 1,
            log_qp: f64::from(params.ring_spec().modulus(0).bits()),
            items: Some(self.input.len()),
            key_bytes: Some(params.key_bytes()),
            tolerance: 0.0,
            note: Some(format!(
                "{note}; set {params}: LWE dimension {}, failure of a look-up 2^{:.1}, keys of \
                 {:.1} MB at rest",
                params.lwe_dimension(),
                noise.log2_failure(),
                params.key_bytes() as f64 / 1e6
            )),
            ..Facts::default()
        }
    }

    /// How far values are from the function's. The first ciphertext's phase is compared word for
    /// word with that of another device: an error too small for a wrong value counts as 1.
    fn check(self: Rc<Self>) -> Result<impl FnMut(&LweBatch) -> Result<f64> + 'static> {
        let device = open_device("cpu", Some(1))?;
        let other = TfheSession::new(self.session.params(), &*device)?;
        let keys = TfheKeys::load(&other, &self.seeded)?;
        let first = self.input.slice(0, 1)?.to_session(&other)?;
        let phase = (self.secret).phases(&keys.look_up(&first, &table(&other)?)?)?;
        Ok(move |y: &LweBatch| {
            let got = self.secret.decrypt(y)?.into_iter().map(|v| v as f64);
            let far = distance(&got.collect::<Vec<_>>(), &self.want);
            let same = self.secret.phases(&y.slice(0, 1)?)? == phase;
            Ok(far.max(if same { 0.0 } else { 1.0 }))
        })
    }
}

/// `tfhe/pbs`: one look-up, from a small ciphertext to a large one.
///
/// # Errors
/// Device failures.
pub fn pbs(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    bootstrap(Scene::new(ctx, name, 1)?)
}

/// `tfhe/pbs_grouped`: the same with three key bits per step.
///
/// # Errors
/// Device failures.
pub fn pbs_grouped(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    bootstrap(Scene::of(ctx, &params(name, GROUP, ctx.smoke)?, 1)?)
}

fn bootstrap(scene: Scene) -> Result<Box<dyn Case>> {
    let scene = Rc::new(scene);
    let group = scene.session.params().group();
    let facts = scene.facts(&format!(
        "modulus switch, blind rotation with {group} key bits per step, extraction; without the \
         key-switch"
    ));
    let (ring, table) = (scene.session.ring().clone(), table(&scene.session)?);
    let small = scene.keys.key_switch(&scene.input)?;
    let check = scene.clone().check()?;
    let call = move || Ok(scene.keys.bootstrap(&small, &table)?);
    Ok(Timed::boxed(facts, &ring, call, check))
}

/// `tfhe/ks_pbs_batch256`: look-ups of a batch, key-switch included.
///
/// # Errors
/// Device failures.
pub fn ks_pbs_batch256(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let scene = Rc::new(Scene::new(ctx, name, if ctx.smoke { 3 } else { BATCH })?);
    let facts = scene.facts("key-switch, modulus switch, blind rotation, extraction");
    let (ring, table) = (scene.session.ring().clone(), table(&scene.session)?);
    let check = scene.clone().check()?;
    let call = move || Ok(scene.keys.look_up(&scene.input, &table)?);
    Ok(Timed::boxed(facts, &ring, call, check))
}

/// The network of small integers as `benches/data/digits_quantised.json` holds it.
#[derive(Deserialize)]
struct Digits {
    clip: (i64, i64),
    w1: Vec<Vec<i64>>,
    b1: Vec<i64>,
    w2: Vec<Vec<i64>>,
    b2: Vec<i64>,
    held_out: Vec<Vec<i64>>,
}

/// What the hidden layer looks up; `Digits::clip` says the same.
const CLIP: (i64, i64) = (-1, 2);

impl Digits {
    fn network(self, params: &TfheParams) -> Result<IntNetwork> {
        if self.clip != CLIP {
            return Err(format!("a network clipped to {:?}, not to {CLIP:?}", self.clip).into());
        }
        let layer = |name: &str, w: Vec<Vec<i64>>, bias, activation| -> Result<IntLayer> {
            let shape = (w.len(), w.first().map_or(0, Vec::len));
            let weights = IntMatrix::new(shape, 1 << 8, w.concat())?;
            let name = name.into();
            Ok(IntLayer {
                name,
                weights,
                bias,
                activation,
            })
        };
        let clip = IntFunction::new(|v| v.clamp(CLIP.0, CLIP.1));
        let layers = vec![
            layer("hidden", self.w1, self.b1, Some(clip))?,
            layer("scores", self.w2, self.b2, None)?,
        ];
        Ok(IntNetwork::compile(params, 0..=1, layers)?)
    }
}

/// The digit network on one image, on a device: the server's part.
type Classify = Box<dyn Fn() -> Result<LweBatch>>;

/// What both variants share: the network, an image, and how to compare.
struct Classifier {
    scene: Scene,
    network: IntNetwork,
    image: Vec<i64>,
    random: SecureRandom,
}

impl Classifier {
    fn new(ctx: &Context) -> Result<Self> {
        let data: Digits = serde_json::from_str(include_str!("../data/digits_quantised.json"))?;
        let scene = Scene::new(ctx, "m2c2", 1)?;
        let image = data.held_out[0].clone();
        Ok(Self {
            network: data.network(scene.session.params())?,
            scene,
            image,
            random: SecureRandom::insecure_from_seed([9; 32]),
        })
    }

    /// A case from what makes the server's part for a session and its keys. The bits of the result
    /// are compared with those of another device: an error too small for a wrong value counts as 1.
    fn case(
        self,
        note: &str,
        classify: impl Fn(&TfheSession, Rc<TfheKeys>) -> Result<Classify>,
    ) -> Result<Box<dyn Case>> {
        let scene = self.scene;
        let mut facts = scene.facts(note);
        facts.items = None;
        let want = self.network.run_clear(&self.image)?;
        let device = open_device("cpu", None)?;
        let other = TfheSession::new(scene.session.params(), &*device)?;
        let keys = Rc::new(TfheKeys::load(&other, &scene.seeded)?);
        let phases = (scene.secret).phases(&classify(&other, keys)?()?)?;
        let call = classify(&scene.session, Rc::new(scene.keys))?;
        let secret = scene.secret;
        let check = move |y: &LweBatch| {
            let same = secret.decrypt(y)? == want && secret.phases(y)? == phases;
            Ok(if same { 0.0 } else { 1.0 })
        };
        Ok(Timed::boxed(facts, scene.session.ring(), call, check))
    }
}

/// `model/digits_quantised`: the 64-32-10 network of small integers on one encrypted image. The
/// server's part only.
///
/// # Errors
/// Device failures.
pub fn digits_quantised(ctx: &Context, _name: &str) -> Result<Box<dyn Case>> {
    let mut own = Classifier::new(ctx)?;
    let input = (own.scene.secret).encrypt_with(&own.image, 0..=1, &mut own.random)?;
    let network = own.network.clone();
    own.case(
        "64-32-10, weights of 1 and 2 bits, 32 look-ups",
        |session, keys| {
            let (server, x) = (network.load(session)?, input.to_session(session)?);
            Ok(Box::new(move || {
                Ok(server.run(&keys, &x, &mut no_progress)?)
            }))
        },
    )
}

/// `model/digits_quantised_encrypted_weights`: the same with weights and biases encrypted.
///
/// # Errors
/// Device failures.
pub fn digits_quantised_encrypted_weights(ctx: &Context, _name: &str) -> Result<Box<dyn Case>> {
    let mut own = Classifier::new(ctx)?;
    let network = (own.scene.secret).encrypt_network_with(&own.network, &mut own.random)?;
    let images = [own.image.clone()];
    let input = (own.scene.secret).encrypt_vectors_with(&network, &images, &mut own.random)?;
    own.case(
        "64-32-10, all weights GGSW ciphertexts, 32 look-ups",
        |session, keys| {
            let (server, x) = (network.load(session)?, input.to_session(session)?);
            Ok(Box::new(move || {
                Ok(server.run(&keys, &x, &mut no_progress)?)
            }))
        },
    )
}
