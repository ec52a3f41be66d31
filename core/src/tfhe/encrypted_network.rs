//! Networks of small integers whose weights are encrypted too.
//!
//! A weight is a GGSW ciphertext, an input a GLWE ciphertext, a product an external product. The
//! first layer's inputs are the coefficients of one polynomial: a row of weights is the polynomial
//! whose product with it has the sum in coefficient 0. Later inputs come out of look-ups one by
//! one, with neighbours in the other coefficients: a weight for each is a constant polynomial.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Prepared, Role, Seed};
use zeroize::Zeroizing;

use super::{
    encoding::{Encoding, Space},
    extremes::IntOutput,
    ggsw::{GgswEncryptor, expand_masks},
    glwe::GlweBatch,
    look_up::LookUpTable,
    lwe::LweBatch,
    network::{Compiled, IntNetwork},
    params::TfheParams,
    secret::TfheSecretKey,
    server_keys::TfheKeys,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    progress::{Progress, report},
    rlwe::{KeyId, Purpose, SecureRandom},
};

/// GGSW ciphertexts that are made at a time.
const AT_ONCE: usize = 32;

/// An [`IntNetwork`] with weights and biases encrypted, in host memory: what a server that may not
/// see them is given. Sizes, ranges of sums, and the tables are public.
pub struct EncryptedIntNetwork {
    pub(super) params: TfheParams,
    pub(super) key_id: KeyId,
    pub(super) inputs: (i64, i64),
    pub(super) columns: usize,
    pub(super) layers: Vec<Layer>,
    pub(super) output: IntOutput,
}

pub(super) struct Layer {
    pub(super) seed: Seed,
    pub(super) rows: usize,
    /// GLWE ciphertexts that a sum is made of.
    pub(super) terms: usize,
    /// For each row and term, the bodies of a GGSW ciphertext: evaluation domain.
    pub(super) bodies: Vec<u64>,
    /// For each row a GLWE ciphertext with the bias in coefficient 0.
    pub(super) biases: Vec<u64>,
    /// Range and variance of the sums.
    pub(super) sums: Encoding,
    /// What is looked up: the results for the range of the sums.
    pub(super) table: Option<Vec<i64>>,
    /// Where the results of the look-up lie.
    pub(super) space: Space,
}

impl TfheSecretKey {
    /// Encrypts the weights and biases of a network, with randomness of the operating system.
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt_network_with`]; [`Error::Randomness`].
    pub fn encrypt_network(&self, network: &IntNetwork) -> Result<EncryptedIntNetwork> {
        self.encrypt_network_with(network, &mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; [`Error::Shape`] for no layers or for more inputs than a
    /// polynomial has coefficients; [`Error::Precision`] with the layer's name when the noise of
    /// products of ciphertexts is too much for its look-ups; device failures.
    pub fn encrypt_network_with(
        &self,
        network: &IntNetwork,
        random: &mut SecureRandom,
    ) -> Result<EncryptedIntNetwork> {
        let (op, params) = ("TfheSecretKey::encrypt_network", self.session().params());
        self.session().check_params(op, network.params())?;
        let columns = network.columns().unwrap_or(0);
        if !(1..=params.n()).contains(&columns) {
            return Err(Error::Shape {
                op,
                expected: format!("a layer of 1 to {} inputs", params.n()),
                got: columns.to_string(),
            });
        }
        let mut variance = params.noise().fresh();
        let mut layers = Vec::with_capacity(network.layers().len());
        for (i, compiled) in network.layers().iter().enumerate() {
            let layer = self.encrypt_layer(op, compiled, i == 0, variance, random)?;
            variance = match layer.table {
                Some(_) => params.noise().look_up(),
                None => layer.sums.variance,
            };
            layers.push(layer);
        }
        network.check_output(op, variance)?;
        Ok(EncryptedIntNetwork {
            params: params.clone(),
            key_id: self.id(),
            inputs: network.inputs(),
            columns,
            layers,
            output: network.output(),
        })
    }

    fn encrypt_layer(
        &self,
        op: &'static str,
        compiled: &Compiled,
        first: bool,
        input: f64,
        random: &mut SecureRandom,
    ) -> Result<Layer> {
        let (params, layer) = (self.session().params(), &compiled.layer);
        let (n, rows, columns) = (params.n(), layer.weights.rows(), layer.weights.columns());
        let terms = if first { 1 } else { columns };
        let (noise, norm) = (params.noise(), layer.weights_norm());
        // What an external product adds is that of its rows' errors, and rounding times the weight.
        let (errors, once) = (noise.external_product(0.0), noise.external_product(1.0));
        let variance = norm * (input + once - errors) + terms as f64 * errors + noise.fresh();
        compiled.check_noise(op, params, variance)?;

        let seed = Seed::new(random.bytes(Purpose::PublicSeed));
        let ggsw = GgswEncryptor::new(self, seed)?;
        let m = params.ring_spec().modulus(0);
        // A row for each product, or a polynomial that has them all.
        let polys: Zeroizing<Vec<Vec<u64>>> = Zeroizing::new(if first {
            let row = |i| {
                let mut poly = vec![0; n];
                for (j, &w) in layer.weights.row(i).iter().enumerate() {
                    // X^-j = -X^(N - j).
                    let (at, w) = if j == 0 { (0, w) } else { (n - j, -w) };
                    poly[at] = m.from_i64(w);
                }
                poly
            };
            (0..rows).map(row).collect()
        } else {
            let entries = (0..rows).flat_map(|i| layer.weights.row(i));
            let poly = |&w: &i64| {
                let mut poly = vec![0; n];
                poly[0] = m.from_i64(w);
                poly
            };
            entries.map(poly).collect()
        });
        let mut bodies = Vec::new();
        for (i, some) in polys.chunks(AT_ONCE).enumerate() {
            let words = Zeroizing::new(some.concat());
            bodies.extend(ggsw.bodies_of_polys(i * AT_ONCE, &words, random)?);
        }
        let space = compiled.sum_space(params);
        let mut words = Zeroizing::new(vec![0; rows * n]);
        for (poly, &bias) in words.chunks_exact_mut(n).zip(&layer.bias) {
            poly[0] = space.encode(params, bias);
        }
        let sums = Encoding {
            range: compiled.sums,
            variance,
            space,
        };
        let biases = self.encrypt_words(words, sums, random)?;
        Ok(Layer {
            seed,
            rows,
            terms,
            bodies,
            biases: self.session().ring().download(&biases.buf)?,
            sums,
            table: compiled.results.clone(),
            space: compiled.space,
        })
    }

    /// Encrypts vectors for the first layer of such a network: each as one GLWE ciphertext, its
    /// entries in the first coefficients.
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt`]; [`Error::Shape`] for vectors of another length.
    pub fn encrypt_vectors_with(
        &self,
        network: &EncryptedIntNetwork,
        vectors: &[Vec<i64>],
        random: &mut SecureRandom,
    ) -> Result<GlweBatch> {
        let op = "TfheSecretKey::encrypt_vectors";
        self.session().check_params(op, &network.params)?;
        if let Some(wrong) = vectors.iter().find(|v| v.len() != network.columns) {
            return Err(Error::Shape {
                op,
                expected: format!("vectors of {} inputs", network.columns),
                got: wrong.len().to_string(),
            });
        }
        let (low, high) = network.inputs;
        self.encrypt_packed_with(vectors, low..=high, random)
    }
}

impl EncryptedIntNetwork {
    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// What is made of the last layer's results.
    pub fn output(&self) -> IntOutput {
        self.output
    }

    /// Brings weights and tables to a device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures, memory among them.
    pub fn load(&self, session: &TfheSession) -> Result<EncryptedIntServer> {
        let op = "EncryptedIntNetwork::load";
        session.check_params(op, &self.params)?;
        let layers = self.layers.iter().map(|layer| layer.load(op, session));
        Ok(EncryptedIntServer {
            session: session.clone(),
            key_id: self.key_id,
            inputs: self.inputs,
            columns: self.columns,
            layers: layers.collect::<Result<_>>()?,
            output: self.output,
        })
    }
}

impl Layer {
    fn load(&self, op: &'static str, session: &TfheSession) -> Result<LoadedLayer> {
        let (ring, params) = (session.ring(), session.params());
        let (rows, lanes, masks) = (
            params.rotation().row_count(),
            params.lanes(),
            params.masks(),
        );
        let count = self.rows * self.terms;
        let mut key = ring.alloc(session.shape(count * rows * lanes), Domain::Eval)?;
        let mut a = ring.alloc(session.shape(rows * masks), Domain::Eval)?;
        for (index, bodies) in self.bodies.chunks_exact(rows * params.n()).enumerate() {
            expand_masks(session, a.view_mut(), self.seed, index)?;
            let bodies = ring.upload(session.shape(rows), Domain::Eval, bodies)?;
            for lane in 0..lanes {
                let src = if lane < masks {
                    a.view().polys(lane, rows, masks)?
                } else {
                    bodies.view()
                };
                let first = index * rows * lanes + lane;
                let dst = key.view_mut().polys(first, rows, lanes)?;
                ring.submit(Cmd::Copy { dst, src })?;
            }
        }
        let biases = session.shape(self.rows * lanes);
        let (low, high) = self.sums.range;
        let table = |results: &Vec<i64>| {
            let of = |v: i64| results[(v - low) as usize];
            LookUpTable::into_space(op, session, low..=high, self.space, of)
        };
        Ok(LoadedLayer {
            rows: self.rows,
            terms: self.terms,
            key: ring.prepare(&key, Role::Diagonal)?,
            biases: ring.upload(biases, Domain::Coeff, &self.biases)?,
            sums: self.sums,
            table: self.table.as_ref().map(table).transpose()?,
        })
    }
}

/// A network with encrypted weights on a device.
pub struct EncryptedIntServer {
    session: TfheSession,
    key_id: KeyId,
    inputs: (i64, i64),
    columns: usize,
    layers: Vec<LoadedLayer>,
    output: IntOutput,
}

struct LoadedLayer {
    rows: usize,
    terms: usize,
    /// For each row, term, row of a GGSW ciphertext and lane, a polynomial.
    key: Prepared,
    biases: PolyBuf,
    sums: Encoding,
    table: Option<LookUpTable>,
}

impl EncryptedIntServer {
    /// Entries of an input.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The network on encrypted vectors of [`TfheSecretKey::encrypt_vectors_with`]: equal to
    /// [`IntNetwork::run_clear`], value for value; results one vector after the other. Nothing
    /// moves to the device or from it. `progress` is called after every layer.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::MessageRange`] for inputs of a
    /// wider range than was compiled for; [`Error::Cancelled`]; device failures.
    pub fn run(
        &self,
        keys: &TfheKeys,
        x: &GlweBatch,
        progress: &mut Progress<'_>,
    ) -> Result<LweBatch> {
        let (op, session) = ("EncryptedIntServer::run", &self.session);
        session.check_params(op, keys.session().params())?;
        session.check_params(op, x.session.params())?;
        for got in [keys.key_id(), x.key_id] {
            if got != self.key_id {
                let (expected, got) = (self.key_id.to_string(), got.to_string());
                return Err(Error::KeyMismatch { op, expected, got });
            }
        }
        let ((low, high), (least, most)) = (self.inputs, x.encoding.range);
        if least < low || most > high {
            return Err(Error::MessageRange {
                op,
                what: "the batch's range is",
                expected: format!("{low} to {high}"),
                got: format!("{least} to {most}"),
            });
        }
        let mut made: Option<GlweBatch> = None;
        for (i, layer) in self.layers.iter().enumerate() {
            let sums = layer.sums_of(session, made.as_ref().unwrap_or(x))?;
            made = Some(match &layer.table {
                Some(table) => keys.blind_rotate(&keys.key_switch(&sums.extract(0)?)?, table)?,
                None => sums,
            });
            report(op, progress, i + 1, self.layers.len())?;
        }
        let values = made.as_ref().unwrap_or(x).extract(0)?;
        match self.layers.last() {
            Some(last) => (self.output).apply(keys, values, last.rows, progress),
            None => Ok(values),
        }
    }
}

impl EncryptedIntServer {
    /// The sums of the first layer, for the noise model's test.
    #[cfg(test)]
    pub(super) fn first_sums(&self, x: &GlweBatch) -> Result<GlweBatch> {
        self.layers[0].sums_of(&self.session, x)
    }
}

impl LoadedLayer {
    /// External products of the inputs with the weights, and the biases: sums in coefficient 0.
    fn sums_of(&self, session: &TfheSession, x: &GlweBatch) -> Result<GlweBatch> {
        let (ring, plan) = (session.ring(), session.params().rotation());
        let (rows, lanes) = (plan.row_count(), session.params().lanes());
        let (terms, inputs) = (self.terms, x.len());
        let count = inputs / terms;
        let mut digits = ring.alloc(session.shape(inputs * rows), Domain::Coeff)?;
        for (row, (lane, level)) in plan.rows().enumerate() {
            ring.submit(Cmd::Digit {
                dst: digits.view_mut().polys(row, inputs, rows)?,
                src: x.buf.view().polys(lane, inputs, lanes)?,
                plan: plan.digits(lane),
                level,
            })?;
        }
        ring.ntt(&mut digits)?;
        let mut buf = ring.alloc(session.shape(count * self.rows * lanes), Domain::Eval)?;
        for i in 0..self.rows {
            for lane in 0..lanes {
                let products = (0..terms * rows).map(|j| {
                    let digit = digits.view().polys(j, count, terms * rows)?;
                    let at = (i * terms * rows + j) * lanes + lane;
                    Ok((digit, self.key.view().polys(at, 1, 1)?))
                });
                ring.submit(Cmd::DiagMulAcc {
                    acc: (buf.view_mut()).polys(i * lanes + lane, count, self.rows * lanes)?,
                    terms: products.collect::<Result<_>>()?,
                    accumulate: false,
                })?;
            }
        }
        ring.intt(&mut buf)?;
        for image in 0..count {
            let (first, polys) = (image * self.rows * lanes, self.rows * lanes);
            ring.submit(Cmd::Elementwise {
                op: ElementwiseOp::Add,
                dst: buf.view_mut().polys(first, polys, 1)?,
                a: None,
                b: Some(self.biases.view()),
            })?;
        }
        Ok(GlweBatch {
            session: session.clone(),
            key_id: x.key_id,
            buf,
            encoding: self.sums,
        })
    }
}

impl fmt::Debug for EncryptedIntNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (params, layers) = (&self.params, self.layers.len());
        write!(f, "EncryptedIntNetwork({layers} layers, {params}, key ")?;
        write!(f, "{})", self.key_id)
    }
}

impl fmt::Debug for EncryptedIntServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.layers.len();
        write!(f, "EncryptedIntServer({layers} layers, {:?})", self.session)
    }
}
