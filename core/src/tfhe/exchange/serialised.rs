//! Ciphertexts as tfhe-rs's `safe_serialize` writes them: a header of three strings, then numbers,
//! little-endian, each type with its version before it. docs/notes/tfhe.md has the layout.

use super::{
    batch::TfheRsBatch,
    secret::TfheRsSecret,
    serialised_source::{Source, refuse},
    sets::{TfheRsLiteral, TfheRsSet},
};
use crate::error::{Error, Result};

use zeroize::Zeroizing;

/// Versions of the header and of the versioning behind it, in tfhe-rs 1.4 to 1.8.
const HEADER: [&str; 2] = ["0.5", "0.1"];
const PREFIX: &str = "high_level_api::";

/// Types of tfhe-rs whose serialised ciphertexts are read and written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TfheRsType {
    /// `shortint::Ciphertext`: one block.
    Shortint,
    /// `FheBool`: one block, 0 or 1.
    Bool,
    /// `FheUint8` and the like: blocks of message bits, the least significant first.
    Uint,
    /// `FheInt8` and the like: the same in two's complement.
    Int,
}

impl TfheRsType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Shortint, Self::Bool, Self::Uint, Self::Int];

    /// Its name in headers of tfhe-rs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shortint => "shortint::Ciphertext",
            Self::Bool => "high_level_api::FheBool",
            Self::Uint => "high_level_api::FheUint",
            Self::Int => "high_level_api::FheInt",
        }
    }

    /// The type of a name, with or without what stands before `::`; a number of bits at its end
    /// says nothing more (`FheUint8`).
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn named(name: &str) -> Result<Self> {
        let short = name.trim_start_matches(PREFIX);
        let short = short.trim_end_matches(|c: char| c.is_ascii_digit());
        let found = Self::ALL.into_iter().find(|kind| {
            let full = kind.name();
            full == short || full.trim_start_matches(PREFIX) == short
        });
        found.ok_or_else(|| Error::UnknownName {
            op: "TfheRsType::named",
            what: "type of tfhe-rs",
            expected: Self::ALL.map(Self::name).join(", "),
            got: name.to_owned(),
        })
    }

    /// Whether a ciphertext may have any number of blocks.
    fn is_integer(self) -> bool {
        matches!(self, Self::Uint | Self::Int)
    }
}

impl TfheRsBatch {
    /// The blocks of one ciphertext out of the bytes of `safe_serialize`, its type, and the identity
    /// that the client has given its key. Tags are passed over.
    ///
    /// # Errors
    /// [`Error::Serialization`] for bytes of another type or version, cut off or too long;
    /// [`Error::ParamsMismatch`] for ciphertexts of another set, as far as they tell: moduli,
    /// dimension, order of key-switch and look-up; as [`TfheRsBatch::new`] for their degree and
    /// noise.
    pub fn from_serialised(
        set: &TfheRsSet,
        key: [u8; 32],
        bytes: &[u8],
    ) -> Result<(TfheRsType, Self)> {
        let op = "TfheRsBatch::from_serialised";
        let mut source = Source::new(op, bytes);
        let names = TfheRsType::ALL.map(TfheRsType::name);
        let name = header(&mut source, &names)?;
        let kind = TfheRsType::ALL[name];
        let (mut count, mut version) = (1, 0);
        if kind != TfheRsType::Shortint {
            version = source.version("a ciphertext", &[1, 2])?;
            source.version("its blocks", &[0])?;
            source.version("its blocks", &[0])?;
        }
        let per_block = 8 * (set.dimension() as u64 + 1);
        if kind.is_integer() {
            count = source.length("blocks", per_block)?;
        }
        let mut blocks = Blocks::default();
        for _ in 0..count {
            blocks.read(&mut source, set)?;
        }
        if kind != TfheRsType::Shortint {
            let parts = if version == 1 { 1 } else { 2 };
            for _ in 0..parts {
                source.version("its tag", &[0])?;
                let length = source.length("bytes of a tag", 1)?;
                source.take(length)?;
            }
        }
        source.finish()?;
        let Blocks {
            degree,
            noise_level,
            words,
        } = blocks;
        let noise_level = u32::try_from(noise_level).unwrap_or(u32::MAX);
        let batch = Self::new(set, key, (degree, noise_level), words)?;
        Ok((kind, batch))
    }

    /// The bytes that `safe_deserialize` of tfhe-rs 1.4 to 1.8 reads: one ciphertext of all blocks,
    /// without a tag.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than one block where the type has one; [`Error::MessageRange`] or
    /// [`Error::InvalidParams`] for carries or noise that integers of tfhe-rs do not have.
    pub fn to_serialised(&self, kind: TfheRsType) -> Result<Vec<u8>> {
        let op = "TfheRsBatch::to_serialised";
        if self.len() != 1 && !kind.is_integer() {
            return Err(Error::Shape {
                op,
                expected: format!("one block for {}", kind.name()),
                got: format!("{} blocks", self.len()),
            });
        }
        let most = match kind {
            TfheRsType::Shortint => u64::MAX,
            TfheRsType::Bool => 1,
            TfheRsType::Uint | TfheRsType::Int => self.set().literal().message_modulus - 1,
        };
        if self.degree() > most {
            return Err(Error::MessageRange {
                op,
                what: "values of a block",
                expected: format!("0 to {most} for {} (a look-up makes them so)", kind.name()),
                got: format!("0 to {}", self.degree()),
            });
        }
        if self.noise_level() > 1 && kind != TfheRsType::Shortint {
            return Err(Error::InvalidParams {
                op,
                what: "too much noise for an integer",
                expected: "the noise of a look-up, level 1".into(),
                got: self.noise_level().to_string(),
                remedy: "look the values up before the export",
            });
        }
        let mut out = Vec::new();
        for (at, text) in HEADER.into_iter().chain([kind.name()]).enumerate() {
            if at == 1 {
                // The mode "versioned".
                out.extend(0u32.to_le_bytes());
            }
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        }
        if kind != TfheRsType::Shortint {
            // Version 1, which every reader since then takes.
            out.extend([1u32, 0, 0].into_iter().flat_map(u32::to_le_bytes));
        }
        if kind.is_integer() {
            out.extend((self.len() as u64).to_le_bytes());
        }
        for words in self.ciphertexts() {
            self.write_block(words, &mut out);
        }
        if kind != TfheRsType::Shortint {
            out.extend(0u32.to_le_bytes());
            out.extend(0u64.to_le_bytes());
        }
        Ok(out)
    }

    fn write_block(&self, words: &[u64], out: &mut Vec<u8>) {
        let literal = self.set().literal();
        out.extend([1u32, 0].into_iter().flat_map(u32::to_le_bytes));
        out.extend((words.len() as u64).to_le_bytes());
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        out.extend(0u32.to_le_bytes());
        out.extend(0u128.to_le_bytes());
        out.extend(64u64.to_le_bytes());
        let numbers = [
            self.degree(),
            u64::from(self.noise_level()),
            literal.message_modulus,
            literal.carry_modulus,
        ];
        for number in numbers {
            out.extend(0u32.to_le_bytes());
            out.extend(number.to_le_bytes());
        }
        out.extend([0; 16]);
    }

    /// All ciphertexts of several batches, with the largest degree and the largest noise level.
    ///
    /// # Errors
    /// [`Error::Shape`] for no batch; [`Error::ParamsMismatch`], [`Error::KeyMismatch`].
    pub fn concat(batches: &[&Self]) -> Result<Self> {
        let op = "TfheRsBatch::concat";
        let Some((first, rest)) = batches.split_first() else {
            let (expected, got) = ("at least one batch".into(), "none".into());
            return Err(Error::Shape { op, expected, got });
        };
        let mut all = (*first).clone();
        for batch in rest {
            first.set().check_same(op, batch.set())?;
            batch.check_key(op, first.key_id())?;
            all.join(batch);
        }
        Ok(all)
    }

    /// The batch's ciphertexts in groups of `count`, the last one shorter if they do not fit.
    pub fn chunks(&self, count: usize) -> impl Iterator<Item = Self> {
        let words = count.max(1) * (self.set().dimension() + 1);
        self.words_in_chunks(words)
    }
}

/// Blocks read so far.
#[derive(Default)]
struct Blocks {
    degree: u64,
    noise_level: u64,
    words: Vec<u64>,
}

impl Blocks {
    /// One `shortint::Ciphertext` of the set.
    fn read(&mut self, source: &mut Source<'_>, set: &TfheRsSet) -> Result<()> {
        let literal = set.literal();
        let mismatch = |op, got| {
            let expected = format!(
                "{set}: {} values of a message, {} of a carry, {} mask words modulo 2^64, \
                 key-switch first",
                literal.message_modulus,
                literal.carry_modulus,
                set.dimension()
            );
            Err(Error::ParamsMismatch { op, expected, got })
        };
        source.version("a block", &[1])?;
        source.version("its words", &[0])?;
        let width = source.length("words of a block", 8)?;
        if width != set.dimension() + 1 {
            return mismatch(source.op(), format!("{} mask words", width.max(1) - 1));
        }
        let words = source.take(8 * width)?.as_chunks().0.iter();
        self.words
            .extend(words.map(|bytes| u64::from_le_bytes(*bytes)));
        let modulus = modulus(source)?;
        if modulus != (0, 64) {
            return mismatch(source.op(), format!("a modulus {}", modulus.0));
        }
        self.degree = self.degree.max(source.number("its degree")?);
        self.noise_level = self.noise_level.max(source.number("its noise level")?);
        let moduli = [(); 2].map(|()| source.number("its moduli"));
        let [message, carry] = moduli;
        let moduli = (message?, carry?);
        if moduli != (literal.message_modulus, literal.carry_modulus) {
            let got = format!("{} values of a message, {} of a carry", moduli.0, moduli.1);
            return mismatch(source.op(), got);
        }
        source.version("its pattern", &[0])?;
        match source.u32()? {
            0 => source.version("its order", &[0])?,
            _ => return mismatch(source.op(), "a key-switch modulo 2^32".into()),
        };
        match source.u32()? {
            0 => Ok(()),
            _ => mismatch(source.op(), "the look-up first".into()),
        }
    }
}

impl TfheRsSecret {
    /// The big LWE secret out of the bytes of `safe_serialize` of a `ClientKey`, with an identity of
    /// the client's choice. Reads up to the parameters and passes over what follows.
    ///
    /// # Errors
    /// [`Error::Serialization`] for bytes of another type or version, or cut off;
    /// [`Error::InvalidParams`] for a set that is not exchanged; as [`TfheRsSecret::new`].
    pub fn from_client_key(id: [u8; 32], bytes: &[u8]) -> Result<Self> {
        let op = "TfheRsSecret::from_client_key";
        let mut source = Source::new(op, bytes);
        header(&mut source, &["high_level_api::ClientKey"])?;
        source.version("a client key", &[1])?;
        // Later versions have more keys behind the first.
        source.version("its keys", &[2, 3, 4, 5, 6, 7, 8, 9])?;
        source.version("its integer key", &[0])?;
        source.version("its shortint key", &[1])?;
        source.version("its pattern", &[0])?;
        if source.u32()? != 0 {
            return Err(unsupported(op, "a key-switch modulo 2^32"));
        }
        source.version("its secrets", &[0])?;
        source.version("its GLWE secret", &[0])?;
        let words = source.length("words of a secret", 8)?;
        let words = source.take(8 * words)?.as_chunks().0.iter();
        let words: Vec<u64> = words.map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let words = Zeroizing::new(words);
        source.number("its degree")?;
        source.version("its LWE secret", &[0])?;
        let small = source.length("words of a secret", 8)?;
        source.take(8 * small)?;
        Self::new(&set(&mut source)?, id, &words)
    }
}

/// The set of a client key: `ClassicPBSParameters`.
fn set(source: &mut Source<'_>) -> Result<TfheRsSet> {
    source.version("its parameters", &[0])?;
    if source.u32()? != 0 {
        return Err(unsupported(
            source.op(),
            "a set with several key bits per step",
        ));
    }
    source.version("its parameters", &[1, 2])?;
    let [lwe_dimension, glwe_dimension, polynomial_size] =
        [(); 3].map(|()| source.number("a dimension"));
    let [lwe_noise_log, glwe_noise_log] = [(); 2].map(|()| uniform_bound(source));
    let digits = [(); 4].map(|()| source.number("digits"));
    let [message, carry, norm] = [(); 3].map(|()| source.number("a modulus"));
    source.take(8)?;
    let modulus = modulus(source)?;
    source.version("its key's choice", &[0])?;
    let big_key = source.u32()? == 0;
    let size = |number: Result<u64>| number.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let small = |number: Result<u64>| number.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let [pbs_log, pbs_levels, switch_log, switch_levels] = digits.map(small);
    TfheRsSet::from_literal(&TfheRsLiteral {
        message_modulus: message?,
        carry_modulus: carry?,
        max_noise_level: small(norm)?,
        lwe_dimension: size(lwe_dimension)?,
        glwe_dimension: size(glwe_dimension)?,
        polynomial_size: size(polynomial_size)?,
        lwe_noise_log: lwe_noise_log?,
        glwe_noise_log: glwe_noise_log?,
        pbs_digits: (pbs_log?, pbs_levels?),
        switch_digits: (switch_log?, switch_levels?),
        modulus_log: if modulus == (0, 64) { 64 } else { 0 },
        big_key,
    })
}

/// `t` of a distribution `TUniform(t)`.
fn uniform_bound(source: &mut Source<'_>) -> Result<u32> {
    source.version("its noise", &[0])?;
    if source.u32()? != 1 {
        return Err(unsupported(source.op(), "Gaussian noise"));
    }
    source.version("its noise", &[0])?;
    source.u32()
}

/// A modulus, 0 for that of the word, and the bits of a word.
fn modulus(source: &mut Source<'_>) -> Result<(u128, u64)> {
    source.version("a modulus", &[0])?;
    Ok((source.u128()?, source.u64()?))
}

/// The place of the header's type in `names`.
fn header(source: &mut Source<'_>, names: &[&str]) -> Result<usize> {
    let op = source.op();
    let header = source.text()?;
    if header != HEADER[0] {
        return Err(refuse(
            op,
            format!("a header of version {}", HEADER[0]),
            header,
        ));
    }
    if source.u32()? != 0 {
        return Err(refuse(op, "bytes with versions", "bytes without"));
    }
    let versioning = source.text()?;
    if versioning != HEADER[1] {
        return Err(refuse(
            op,
            format!("versions of kind {}", HEADER[1]),
            versioning,
        ));
    }
    let name = source.text()?;
    let found = names.iter().position(|known| *known == name);
    found.ok_or_else(|| refuse(op, names.join(", "), name))
}

fn unsupported(op: &'static str, got: &str) -> Error {
    Error::InvalidParams {
        op,
        what: "no exchange with this set of tfhe-rs",
        expected: "one key bit per step, key-switch modulo 2^64, TUniform noise".into(),
        got: got.into(),
        remedy: "make a client key with V1_4 to V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128",
    }
}
