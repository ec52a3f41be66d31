//! One small value of every kind, with its frame and its reader.
#![allow(dead_code)] // every test file uses its own part

use ringloom::{
    Ciphertext, Encryptor, Error, KeyRequest, Params, PublicKey, SecretKey, SeededKeys, Session,
    matrix::{
        CoeffForm, CoeffMatrix, EncryptedMatrix, OperandPacking, ProductRequest, RowSecrets,
        SharedMaskKeys, SharedMaskMatrix,
        Side::{self, Encrypted, Plain},
    },
    matrix::{EncryptedVectors, Packing},
    model::{Activation, CompileOptions, Linear, Program, Sequential},
    rlwe::SecureRandom,
    serial::{Decode, Encode, Security},
    tfhe::{
        EncryptedIntNetwork, GlweBatch, IntFunction, IntLayer, IntMatrix, IntNetwork, LweBatch,
        SeededLweBatch, SeededPackingKey, SeededTfheKeys, TfheLiteral, TfheParams, TfheSecretKey,
        TfheSession,
    },
};
use ringloom_ntt::reference::ReferenceDevice;

/// Values that the golden ciphertexts hold.
pub const VALUES: [f64; 8] = [0.5, -1.25, 2.0, 0.0, -0.75, 1.0, 3.5, -2.5];
/// Vectors that the golden batch holds.
pub const VECTORS: [[f64; 3]; 2] = [[0.25, -0.5, 1.0], [1.5, 0.0, -2.0]];

pub struct World {
    pub params: Params,
    pub session: Session,
    pub secret: SecretKey,
    pub public: PublicKey,
    pub keys: SeededKeys,
    pub ciphertext: Ciphertext,
    pub vectors: EncryptedVectors,
    pub program: Program,
    pub matrices: Matrices,
    pub tfhe: Tfhe,
    pub hidden: Hidden,
}

/// What the golden matrices hold, of two rows and one column.
pub const MATRIX: [f64; 2] = [0.5, -1.5];

/// Encrypted matrices of every packing, and rows that share their mask.
pub struct Matrices {
    pub coefficients: CoeffMatrix,
    /// By name, each the right side of a product of a 1 x 2 matrix with a 2 x 1 one.
    pub packed: Vec<(&'static str, EncryptedMatrix)>,
    pub shared: SharedMaskMatrix,
    pub shared_keys: SharedMaskKeys,
}

impl Matrices {
    fn new(encryptor: &Encryptor, secret: &SecretKey) -> Self {
        let rows = RowSecrets::with_label(secret, 1, [7; 32]).unwrap();
        let packed = |(name, left, plan): (&'static str, Side, &str)| {
            let packing = right_side(secret.session().params(), left, plan);
            (name, packing.encrypt(encryptor, &MATRIX).unwrap())
        };
        Self {
            coefficients: CoeffMatrix::encrypt(
                encryptor,
                CoeffForm::Columns,
                (2, 1),
                &MATRIX,
                1,
                20,
            )
            .unwrap(),
            packed: vec![
                packed((
                    "matrix_coefficients.rlc",
                    Encrypted,
                    "coefficients/right/radix1",
                )),
                packed(("matrix_tiles.rlc", Encrypted, "tiles1/left/radix1")),
                packed(("matrix_turned_tiles.rlc", Encrypted, "tiles1/right/radix1")),
                packed(("matrix_slots.rlc", Encrypted, "slots")),
                packed(("matrix_features.rlc", Plain, "features")),
                packed(("matrix_vectors.rlc", Plain, "slots")),
            ],
            shared: rows.encrypt(2, &MATRIX, 1, 20).unwrap(),
            shared_keys: rows.keys(1).unwrap(),
        }
    }
}

/// How a plan for a 1 x 2 matrix times a 2 x 1 matrix wants the right side; the left one is plain or not.
pub fn right_side(params: &Params, left: Side, name: &str) -> OperandPacking {
    let level = if name == "slots" { 2 } else { 1 };
    let request = ProductRequest::new(params, level, (1, 2, 1), (left, Encrypted)).unwrap();
    let plan = request.plan(params, name).unwrap();
    plan.operand(false, 20).unwrap()
}

/// Encrypted integers and the keys to look them up. No security.
pub struct Tfhe {
    pub session: TfheSession,
    pub secret: TfheSecretKey,
    pub keys: SeededTfheKeys,
    pub integers: LweBatch,
    pub fresh: SeededLweBatch,
    pub packing: SeededPackingKey,
}

/// A network of integers with encrypted weights, of a ring that can look up.
pub struct Hidden {
    pub session: TfheSession,
    pub secret: TfheSecretKey,
    pub keys: SeededTfheKeys,
    pub network: EncryptedIntNetwork,
    pub clear: IntNetwork,
    pub vectors: GlweBatch,
}

/// Vectors that the golden inputs of a network hold.
pub const BITS: [[i64; 3]; 2] = [[1, 0, 1], [0, 1, 1]];

/// Integers that the golden batch holds, of a range of its own.
pub const INTEGERS: [i64; 3] = [-1, 2, 0];

impl Tfhe {
    pub fn new(seed: u8) -> Self {
        let params = TfheParams::insecure_toy(&Self::literal()).unwrap();
        let session = TfheSession::new(&params, &ReferenceDevice::new()).unwrap();
        let mut random = SecureRandom::insecure_from_seed([seed; 32]);
        let secret = TfheSecretKey::generate_with(&session, &mut random).unwrap();
        let keys = secret
            .server_keys_with(&mut random, &mut ringloom::no_progress)
            .unwrap();
        let integers = secret.encrypt_with(&INTEGERS, -1..=2, &mut random).unwrap();
        let fresh = (secret.encrypt_seeded_with(&INTEGERS, -1..=2, &mut random)).unwrap();
        let packing = secret.packing_key_with(&mut random).unwrap();
        Self {
            session,
            secret,
            keys,
            integers,
            fresh,
            packing,
        }
    }

    fn literal() -> TfheLiteral {
        TfheLiteral {
            message_bits: 2,
            norm: 1,
            lwe_dimension: 2,
            lwe_noise_log: 4,
            group: 1,
            masks: 2,
            log_n: 4,
            mask_digits: (24, 1),
            body_digits: (24, 1),
            switch_digits: (6, 2),
        }
    }
}

impl Hidden {
    pub fn new(seed: u8) -> Self {
        let literal = TfheLiteral {
            log_n: 5,
            masks: 1,
            ..Tfhe::literal()
        };
        let params = TfheParams::insecure_toy(&literal).unwrap();
        let session = TfheSession::new(&params, &ReferenceDevice::new()).unwrap();
        let mut random = SecureRandom::insecure_from_seed([seed; 32]);
        let secret = TfheSecretKey::generate_with(&session, &mut random).unwrap();
        let keys = secret
            .server_keys_with(&mut random, &mut ringloom::no_progress)
            .unwrap();
        let clear = IntNetwork::compile(&params, 0..=1, layers()).unwrap();
        let network = secret.encrypt_network_with(&clear, &mut random).unwrap();
        let vectors =
            (secret.encrypt_vectors_with(&network, &BITS.map(Vec::from), &mut random)).unwrap();
        Self {
            session,
            secret,
            keys,
            network,
            clear,
            vectors,
        }
    }
}

/// A network of integers: a looked-up layer and one of sums.
pub fn layers() -> Vec<IntLayer> {
    let layer = |name: &str, (rows, columns), entries: Vec<i64>, activation| IntLayer {
        name: name.into(),
        weights: IntMatrix::new((rows, columns), 4, entries).unwrap(),
        bias: vec![0; rows],
        activation,
    };
    vec![
        layer(
            "hidden",
            (2, 3),
            vec![1, -1, 1, 0, 1, 1],
            Some(IntFunction::new(|v| v.max(0))),
        ),
        layer("scores", (1, 2), vec![1, -1], None),
    ]
}

/// Decodes under a limit and encodes again.
pub type Read = Box<dyn Fn(&[u8], u64) -> Result<Vec<u8>, Error>>;

/// A frame and what reads it: the value's bytes, once more.
pub struct Frame {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub read: Read,
}

pub fn network(seed: f64) -> Sequential {
    let weights = |n: usize| (0..n).map(|i| ((i as f64 + seed) * 0.7).sin()).collect();
    let layer = |rows, columns| {
        Linear::new(rows, columns, weights(rows * columns), Some(weights(rows))).unwrap()
    };
    Sequential::new(vec![
        layer(4, 3).into(),
        Activation::named("tanh", 3).unwrap().into(),
        layer(2, 4).into(),
    ])
    .unwrap()
}

/// A network of one matrix that fills all slots with its diagonals.
pub fn wide(params: &Params) -> Program {
    let n = params.slots();
    let weights = (0..n * n).map(|i| (i as f64).cos()).collect();
    let layer = Linear::new(n, n, weights, None).unwrap();
    let options = CompileOptions {
        params: Some(params.clone()),
        max_error: 1.0,
        ..CompileOptions::default()
    };
    let network = Sequential::new(vec![layer.into()]).unwrap();
    network.compile(&[vec![0.5; n]], &options).unwrap()
}

pub fn compile(params: &Params, seed: f64) -> Program {
    let options = CompileOptions {
        params: Some(params.clone()),
        max_error: 1.0,
        max_model_error: 1.0,
        ..CompileOptions::default()
    };
    network(seed).compile(&VECTORS, &options).unwrap()
}

impl World {
    pub fn new(seed: u8) -> Self {
        Self::with(&Params::insecure_toy_ring(4, 4).unwrap(), seed)
    }

    pub fn with(params: &Params, seed: u8) -> Self {
        let session = Session::new(params, &ReferenceDevice::new()).unwrap();
        let mut random = SecureRandom::insecure_from_seed([seed; 32]);
        let secret = SecretKey::generate_with(&session, &mut random).unwrap();
        let public = secret.public_key_with(&mut random).unwrap();
        let request = KeyRequest::new()
            .with_relinearisation(2)
            .with_rotation(1, 3)
            .with_conjugation(0);
        let keys = secret
            .evaluation_keys_with(&request, &mut random, &mut ringloom::no_progress)
            .unwrap();
        let encryptor = Encryptor::new(&session, &public).unwrap();
        let ciphertext = encryptor.encrypt_with(&VALUES, 2, &mut random).unwrap();
        let packing = Packing::new(params.slots(), 3, 3).unwrap();
        let vectors = EncryptedVectors::encrypt(&encryptor, packing, &VECTORS, 1).unwrap();
        let program = compile(params, 1.0);
        let matrices = Matrices::new(&encryptor, &secret);
        Self {
            params: params.clone(),
            session,
            secret,
            public,
            keys,
            ciphertext,
            vectors,
            program,
            matrices,
            tfhe: Tfhe::new(seed),
            hidden: Hidden::new(seed),
        }
    }

    pub fn frames(&self) -> Vec<Frame> {
        let (params, session, any) = (&self.params, &self.session, &Security::AllowInsecure);
        let matrices = &self.matrices;
        let packed = matrices.packed.iter();
        let mut frames: Vec<Frame> = packed
            .map(|(name, matrix)| frame(name, matrix, session))
            .collect();
        frames.extend([
            frame("coeff_matrix.rlc", &matrices.coefficients, session),
            frame("shared_mask_matrix.rlc", &matrices.shared, session),
            frame("shared_mask_keys.rlk", &matrices.shared_keys, params),
        ]);
        frames.extend([
            frame("params.rlp", params, any),
            frame("public_key.rlk", &self.public, params),
            frame("seeded_keys.rlk", &self.keys, params),
            frame("ciphertext.rlc", &self.ciphertext, session),
            frame("vectors.rlc", &self.vectors, session),
            frame("program.rlp", &self.program, any),
            frame("public_program.rlp", self.program.public(), any),
            frame(
                "tfhe_seeded_keys.rlk",
                &self.tfhe.keys,
                self.tfhe.session.params(),
            ),
            frame(
                "tfhe_ciphertext.rlc",
                &self.tfhe.integers,
                &self.tfhe.session,
            ),
            frame(
                "tfhe_fresh_ciphertext.rlc",
                &self.tfhe.fresh,
                self.tfhe.session.params(),
            ),
            frame(
                "tfhe_packing_key.rlk",
                &self.tfhe.packing,
                self.tfhe.session.params(),
            ),
            frame(
                "integers_encrypted_network.rlp",
                &self.hidden.network,
                self.hidden.session.params(),
            ),
            frame(
                "integers_network.rlp",
                &self.hidden.clear,
                self.hidden.session.params(),
            ),
            frame(
                "integers_inputs.rlc",
                &self.hidden.vectors,
                &self.hidden.session,
            ),
        ]);
        frames
    }
}

fn frame<T>(name: &'static str, value: &T, context: &T::Context) -> Frame
where
    T: Encode + Decode,
    T::Context: Clone + 'static,
{
    let context = context.clone();
    Frame {
        name,
        bytes: value.to_bytes().unwrap(),
        read: Box::new(move |bytes, limit| T::from_bytes(bytes, &context, limit)?.to_bytes()),
    }
}

/// The readers of [`World::frames`], by name, for bytes that come from elsewhere.
pub fn reader(world: &World, name: &str) -> Frame {
    let mut frames = world.frames().into_iter();
    frames.find(|f| f.name == name).unwrap()
}

/// Puts the right checksum at the end, so that damage has to be found by other means.
pub fn seal(frame: &mut [u8]) {
    let (content, hash) = frame.split_last_chunk_mut::<32>().unwrap();
    *hash = *blake3::hash(content).as_bytes();
}

/// A folder of its own for a test.
pub fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("ringloom-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
