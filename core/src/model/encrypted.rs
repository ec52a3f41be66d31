//! Programs whose weights are encrypted.

use std::{
    fmt,
    io::{Read, Write},
};

use super::program::{Program, PublicProgram, Step};
use crate::{
    circuits::PolyPlan,
    ckks::Encryptor,
    error::Result,
    matrix::EncryptedMatVec,
    params::Params,
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, Security, json, write_frame},
    session::Session,
};

/// A program whose matrices and biases are ciphertexts under the client's key: a server multiplies
/// without seeing weights or inputs.
///
/// Architecture, ranges and polynomials of the activations stay visible to the server; the
/// client's secret key decrypts the weights, so that whoever holds it must not get this program.
pub struct EncryptedProgram {
    pub(super) public: PublicProgram,
    pub(super) params: Params,
    pub(super) steps: Vec<EncryptedStep>,
    key_id: KeyId,
}

#[derive(Debug)]
pub(super) enum EncryptedStep {
    MatVec(EncryptedMatVec),
    Affine { factor: f64, offset: f64 },
    Poly(PolyPlan),
}

const MATVEC: u8 = 0;
const AFFINE: u8 = 1;
const POLY: u8 = 2;

impl Program {
    /// Encrypts every matrix and bias under the client's public key. Levels, packing and rotation
    /// keys stay as they are; the client makes one relinearisation key more, see
    /// [`PublicProgram::with_encrypted_weights`].
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch) for a key of other parameters;
    /// [`Error::ValueOutOfRange`](crate::Error::ValueOutOfRange); device failures.
    pub fn encrypt_weights(&self, encryptor: &Encryptor) -> Result<EncryptedProgram> {
        let op = "Program::encrypt_weights";
        encryptor.session().check_params(op, self.params.id())?;
        let encrypt = |step: &Step| {
            Ok(match step {
                Step::MatVec {
                    plan,
                    weights,
                    bias,
                } => EncryptedStep::MatVec(EncryptedMatVec::encrypt(
                    encryptor,
                    plan,
                    weights,
                    Some(bias),
                )?),
                Step::Affine { factor, offset, .. } => EncryptedStep::Affine {
                    factor: *factor,
                    offset: *offset,
                },
                Step::Poly { plan, .. } => EncryptedStep::Poly(plan.clone()),
            })
        };
        Ok(EncryptedProgram {
            public: self.public.with_encrypted_weights(),
            params: self.params.clone(),
            steps: self.steps.iter().map(encrypt).collect::<Result<_>>()?,
            key_id: encryptor.key_id(),
        })
    }
}

impl PublicProgram {
    /// The client's part of the same program with encrypted weights: its key request has the
    /// relinearisation key for products at every level.
    #[must_use]
    pub fn with_encrypted_weights(&self) -> Self {
        let keys = self.keys.clone().with_relinearisation(self.input_level);
        Self {
            keys,
            ..self.clone()
        }
    }
}

impl EncryptedProgram {
    /// The client's part.
    pub fn public(&self) -> &PublicProgram {
        &self.public
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Identity of the secret key that the weights are encrypted under.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Size of the encrypted weights.
    pub fn bytes(&self) -> u64 {
        let bytes = |step: &EncryptedStep| match step {
            EncryptedStep::MatVec(matrix) => matrix.bytes(),
            _ => 0,
        };
        self.steps.iter().map(bytes).sum()
    }
}

/// Body: the public part as JSON, steps with plans, residues of the ciphertexts of all steps.
impl Encode for EncryptedProgram {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let public = json(Kind::EncryptedProgram, &self.public)?;
        let words = self.steps.iter().map(|step| match step {
            EncryptedStep::MatVec(matrix) => matrix.download(),
            _ => Ok(Vec::new()),
        });
        let words = words.collect::<Result<Vec<_>>>()?;
        let (id, key) = (self.params.id(), *self.key_id.as_bytes());
        write_frame(out, Kind::EncryptedProgram, id, key, |w| {
            w.block(&public)?;
            for (step, words) in self.steps.iter().zip(&words) {
                match step {
                    EncryptedStep::MatVec(matrix) => {
                        w.u8(MATVEC)?;
                        matrix.write_plan(w)?;
                        matrix.write_words(w, words)?;
                    }
                    EncryptedStep::Affine { factor, offset } => {
                        w.u8(AFFINE)?;
                        w.floats(&[*factor, *offset])?;
                    }
                    EncryptedStep::Poly(plan) => {
                        w.u8(POLY)?;
                        plan.write(w)?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// Read into a session: the ciphertexts go to its device.
impl Decode for EncryptedProgram {
    type Context = Session;

    fn read_from(input: &mut dyn Read, session: &Session, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::EncryptedProgram, limit)?;
        header.check_params(session.params().id())?;
        // The session's parameters are the program's, and were checked when they were made.
        let (public, params) = PublicProgram::read(&mut reader, Security::AllowInsecure)?;
        header.check_params(params.id())?;
        let (key_id, mut packing) = (KeyId::of(&header), public.input);
        let mut steps = Vec::new();
        for info in &public.steps {
            let levels = info.level_in - info.level_out;
            let step = match reader.u8()? {
                MATVEC => {
                    let at = (packing, info.level_in);
                    let matrix = EncryptedMatVec::read(&mut reader, session, key_id, at)?;
                    packing = matrix.plan().output();
                    check_keys(&reader, &public, &matrix)?;
                    EncryptedStep::MatVec(matrix)
                }
                AFFINE => EncryptedStep::Affine {
                    factor: reader.finite()?,
                    offset: reader.finite()?,
                },
                POLY => EncryptedStep::Poly(PolyPlan::read(&mut reader)?),
                other => return Err(reader.refuse("a known kind of step", other)),
            };
            let fits = match &step {
                EncryptedStep::Poly(plan) => plan.depth() as usize <= levels,
                _ => levels == 1,
            };
            if !fits {
                return Err(reader.refuse(format!("a step of {levels} levels"), "another"));
            }
            steps.push(step);
        }
        if packing != public.output {
            let expected = format!("outputs in {:?}", public.output);
            return Err(reader.refuse(expected, format!("{packing:?}")));
        }
        reader.finish()?;
        Ok(Self {
            public,
            params,
            steps,
            key_id,
        })
    }
}

fn check_keys(reader: &Reader<'_>, public: &PublicProgram, matrix: &EncryptedMatVec) -> Result<()> {
    let needed = matrix.key_request();
    if public.keys.union(&needed) == public.keys {
        return Ok(());
    }
    let expected = format!("a request for all keys in use ({needed})");
    Err(reader.refuse(expected, &public.keys))
}

impl fmt::Debug for EncryptedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EncryptedProgram({} steps under {}, {} B)",
            self.steps.len(),
            self.key_id,
            self.bytes()
        )
    }
}
