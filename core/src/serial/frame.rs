//! Heads of frames.

use std::{fmt, io::Read};

use super::read::read_exact;
use crate::{
    error::{Error, Result},
    params::ParamsId,
};

const MAGIC: [u8; 8] = *b"RINGLOOM";
const SECRET_MAGIC: [u8; 8] = *b"RLSECRET";
/// Where the body starts.
pub(super) const HEADER: usize = 88;
/// Bytes of a frame that are not body.
pub(crate) const OVERHEAD: u64 = HEADER as u64 + 32;

/// Bytes of a seed and its stream.
pub(crate) const SEED: u64 = 33;
/// Stands where there is no key.
pub(crate) const NO_KEY: [u8; 32] = [0; 32];

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// [`Params`](crate::Params).
    Params,
    /// [`PublicKey`](crate::PublicKey).
    PublicKey,
    /// [`SeededKeys`](crate::SeededKeys).
    SeededKeys,
    /// [`Ciphertext`](crate::Ciphertext).
    Ciphertext,
    /// [`EncryptedVectors`](crate::matrix::EncryptedVectors).
    EncryptedVectors,
    /// [`CoeffMatrix`](crate::matrix::CoeffMatrix).
    CoeffMatrix,
    /// [`Program`](crate::model::Program), weights included.
    Program,
    /// [`PublicProgram`](crate::model::PublicProgram).
    PublicProgram,
    /// [`SecretKey`](crate::SecretKey).
    SecretKey,
    /// [`EncryptedProgram`](crate::model::EncryptedProgram), weights encrypted.
    EncryptedProgram,
    /// [`SeededTfheKeys`](crate::tfhe::SeededTfheKeys).
    TfheKeys,
    /// [`LweBatch`](crate::tfhe::LweBatch).
    LweBatch,
    /// [`EncryptedIntNetwork`](crate::tfhe::EncryptedIntNetwork).
    EncryptedIntNetwork,
    /// [`SeededLweBatch`](crate::tfhe::SeededLweBatch).
    SeededLweBatch,
    /// [`SeededPackingKey`](crate::tfhe::SeededPackingKey).
    PackingKey,
    /// [`EncryptedMatrix`](crate::matrix::EncryptedMatrix).
    EncryptedMatrix,
    /// [`SharedMaskMatrix`](crate::matrix::SharedMaskMatrix).
    SharedMaskMatrix,
    /// [`SharedMaskKeys`](crate::matrix::SharedMaskKeys).
    SharedMaskKeys,
    /// [`IntNetwork`](crate::tfhe::IntNetwork), weights included.
    IntNetwork,
    /// [`GlweBatch`](crate::tfhe::GlweBatch).
    GlweBatch,
    /// `SeededImportKey` of `tfhe::exchange`, with the feature `tfhe-rs`.
    ImportKey,
    /// `SeededExportKey` of `tfhe::exchange`, with the feature `tfhe-rs`.
    ExportKey,
}

impl Kind {
    const ALL: [Self; 22] = [
        Self::Params,
        Self::PublicKey,
        Self::SeededKeys,
        Self::Ciphertext,
        Self::EncryptedVectors,
        Self::CoeffMatrix,
        Self::Program,
        Self::PublicProgram,
        Self::SecretKey,
        Self::EncryptedProgram,
        Self::TfheKeys,
        Self::LweBatch,
        Self::EncryptedIntNetwork,
        Self::SeededLweBatch,
        Self::PackingKey,
        Self::EncryptedMatrix,
        Self::SharedMaskMatrix,
        Self::SharedMaskKeys,
        Self::IntNetwork,
        Self::GlweBatch,
        Self::ImportKey,
        Self::ExportKey,
    ];

    /// Its number in the file.
    pub const fn code(self) -> u32 {
        match self {
            Self::Params => 1,
            Self::PublicKey => 2,
            Self::SeededKeys => 3,
            Self::Ciphertext => 4,
            Self::EncryptedVectors => 5,
            Self::Program => 6,
            Self::PublicProgram => 7,
            Self::SecretKey => 8,
            Self::CoeffMatrix => 9,
            Self::EncryptedProgram => 10,
            Self::TfheKeys => 11,
            Self::LweBatch => 12,
            Self::EncryptedIntNetwork => 13,
            Self::SeededLweBatch => 14,
            Self::PackingKey => 15,
            Self::EncryptedMatrix => 16,
            Self::SharedMaskMatrix => 17,
            Self::SharedMaskKeys => 18,
            Self::IntNetwork => 19,
            Self::GlweBatch => 20,
            Self::ImportKey => 21,
            Self::ExportKey => 22,
        }
    }

    /// The version that is written, and the highest that can be read.
    pub const fn version(self) -> u32 {
        match self {
            // With the stream of each seed.
            Self::PublicKey
            | Self::SeededKeys
            | Self::TfheKeys
            | Self::SeededLweBatch
            | Self::PackingKey
            | Self::SharedMaskKeys
            | Self::EncryptedIntNetwork => 2,
            _ => 1,
        }
    }

    /// The usual end of a file name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::PublicKey
            | Self::SeededKeys
            | Self::TfheKeys
            | Self::PackingKey
            | Self::SharedMaskKeys
            | Self::ImportKey
            | Self::ExportKey => "rlk",
            Self::Ciphertext
            | Self::EncryptedVectors
            | Self::CoeffMatrix
            | Self::EncryptedMatrix
            | Self::SharedMaskMatrix
            | Self::LweBatch
            | Self::SeededLweBatch
            | Self::GlweBatch => "rlc",
            Self::Params
            | Self::Program
            | Self::PublicProgram
            | Self::EncryptedProgram
            | Self::EncryptedIntNetwork
            | Self::IntNetwork => "rlp",
            Self::SecretKey => "rls",
        }
    }

    const fn magic(self) -> [u8; 8] {
        match self {
            Self::SecretKey => SECRET_MAGIC,
            _ => MAGIC,
        }
    }

    const fn has_key(self) -> bool {
        !matches!(
            self,
            Self::Params | Self::Program | Self::PublicProgram | Self::IntNetwork
        )
    }

    pub(super) const fn read_op(self) -> &'static str {
        match self {
            Self::Params => "Params::read_from",
            Self::PublicKey => "PublicKey::read_from",
            Self::SeededKeys => "SeededKeys::read_from",
            Self::Ciphertext => "Ciphertext::read_from",
            Self::EncryptedVectors => "EncryptedVectors::read_from",
            Self::CoeffMatrix => "CoeffMatrix::read_from",
            Self::Program => "Program::read_from",
            Self::PublicProgram => "PublicProgram::read_from",
            Self::SecretKey => "SecretKey::import_secret",
            Self::EncryptedProgram => "EncryptedProgram::read_from",
            Self::TfheKeys => "SeededTfheKeys::read_from",
            Self::LweBatch => "LweBatch::read_from",
            Self::EncryptedIntNetwork => "EncryptedIntNetwork::read_from",
            Self::SeededLweBatch => "SeededLweBatch::read_from",
            Self::PackingKey => "SeededPackingKey::read_from",
            Self::EncryptedMatrix => "EncryptedMatrix::read_from",
            Self::SharedMaskMatrix => "SharedMaskMatrix::read_from",
            Self::SharedMaskKeys => "SharedMaskKeys::read_from",
            Self::IntNetwork => "IntNetwork::read_from",
            Self::GlweBatch => "GlweBatch::read_from",
            Self::ImportKey => "SeededImportKey::read_from",
            Self::ExportKey => "SeededExportKey::read_from",
        }
    }

    pub(super) const fn write_op(self) -> &'static str {
        match self {
            Self::Params => "Params::write_to",
            Self::PublicKey => "PublicKey::write_to",
            Self::SeededKeys => "SeededKeys::write_to",
            Self::Ciphertext => "Ciphertext::write_to",
            Self::EncryptedVectors => "EncryptedVectors::write_to",
            Self::CoeffMatrix => "CoeffMatrix::write_to",
            Self::Program => "Program::write_to",
            Self::PublicProgram => "PublicProgram::write_to",
            Self::SecretKey => "SecretKey::export_secret",
            Self::EncryptedProgram => "EncryptedProgram::write_to",
            Self::TfheKeys => "SeededTfheKeys::write_to",
            Self::LweBatch => "LweBatch::write_to",
            Self::EncryptedIntNetwork => "EncryptedIntNetwork::write_to",
            Self::SeededLweBatch => "SeededLweBatch::write_to",
            Self::PackingKey => "SeededPackingKey::write_to",
            Self::EncryptedMatrix => "EncryptedMatrix::write_to",
            Self::SharedMaskMatrix => "SharedMaskMatrix::write_to",
            Self::SharedMaskKeys => "SharedMaskKeys::write_to",
            Self::IntNetwork => "IntNetwork::write_to",
            Self::GlweBatch => "GlweBatch::write_to",
            Self::ImportKey => "SeededImportKey::write_to",
            Self::ExportKey => "SeededExportKey::write_to",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Params => "parameters",
            Self::PublicKey => "a public key",
            Self::SeededKeys => "evaluation keys",
            Self::Ciphertext => "a ciphertext",
            Self::EncryptedVectors => "encrypted vectors",
            Self::CoeffMatrix => "a matrix in coefficients",
            Self::Program => "a program with weights",
            Self::PublicProgram => "a public program",
            Self::SecretKey => "a secret key",
            Self::EncryptedProgram => "an encrypted program",
            Self::TfheKeys => "keys of look-ups",
            Self::LweBatch => "encrypted integers",
            Self::EncryptedIntNetwork => "an encrypted network of integers",
            Self::SeededLweBatch => "fresh encrypted integers",
            Self::PackingKey => "a packing key",
            Self::EncryptedMatrix => "an encrypted matrix",
            Self::SharedMaskMatrix => "a matrix whose rows share their mask",
            Self::SharedMaskKeys => "keys of rows that share their mask",
            Self::IntNetwork => "a network of integers",
            Self::GlweBatch => "polynomials of encrypted integers",
            Self::ImportKey => "a key of imports from tfhe-rs",
            Self::ExportKey => "a key of exports to tfhe-rs",
        })
    }
}

/// What a frame says about itself before its body: enough to decide who should read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub(super) kind: Kind,
    pub(super) version: u32,
    pub(super) params: ParamsId,
    pub(super) key: [u8; 32],
    pub(super) body: u64,
}

impl Header {
    /// The header at the start of some bytes. The checksum comes after the body and is not
    /// compared.
    ///
    /// # Errors
    /// [`Error::Serialization`] for bytes that are no frame, or one of an unknown kind or a newer
    /// version.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        let mut bytes = bytes;
        Ok(Self::read("Header::of", &mut bytes)?.0)
    }

    /// What the frame holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Version of the body.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The parameters it was made for.
    pub fn params_id(&self) -> ParamsId {
        self.params
    }

    /// Identity of the secret key, zero where there is none. Compare it with
    /// [`KeyId::check_header`](crate::rlwe::KeyId::check_header).
    pub fn key_bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Length of the whole frame, as declared.
    pub fn frame_bytes(&self) -> u64 {
        self.body.saturating_add(OVERHEAD)
    }

    /// Refuses a frame for other parameters.
    pub(crate) fn check_params(&self, expected: ParamsId) -> Result<()> {
        if self.params == expected {
            return Ok(());
        }
        Err(Error::ParamsMismatch {
            op: self.kind.read_op(),
            expected: expected.to_string(),
            got: self.params.to_string(),
        })
    }

    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.kind.magic());
        bytes[8..12].copy_from_slice(&self.kind.code().to_le_bytes());
        bytes[12..16].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..48].copy_from_slice(self.params.as_bytes());
        bytes[48..80].copy_from_slice(&self.key);
        bytes[80..].copy_from_slice(&self.body.to_le_bytes());
        bytes
    }

    /// The header and its bytes.
    pub(super) fn read(op: &'static str, input: &mut dyn Read) -> Result<(Self, [u8; HEADER])> {
        let mut bytes = [0; HEADER];
        read_exact(op, input, &mut bytes)?;
        let magic = part::<8>(&bytes, 0);
        if magic != MAGIC && magic != SECRET_MAGIC {
            let (expected, got) = ("a frame that starts with RINGLOOM", "other bytes");
            return Err(refuse(
                op,
                expected,
                got,
                "check that this is the right file",
            ));
        }
        let code = u32::from_le_bytes(part(&bytes, 8));
        let kind = Kind::ALL
            .into_iter()
            .find(|k| k.code() == code && k.magic() == magic);
        let Some(kind) = kind else {
            let (expected, got) = ("a known kind of value", format!("kind {code}"));
            let remedy = "update the library if a newer version wrote the bytes";
            return Err(refuse(op, expected, got, remedy));
        };
        let version = u32::from_le_bytes(part(&bytes, 12));
        if version == 0 || version > kind.version() {
            let expected = format!("version 1 to {} of {kind}", kind.version());
            let remedy = "update the library if a newer version wrote the bytes";
            return Err(refuse(op, expected, format!("version {version}"), remedy));
        }
        let key = part(&bytes, 48);
        if !kind.has_key() && key != NO_KEY {
            let expected = format!("no key identity in {kind}");
            return Err(refuse(op, expected, "one", DAMAGED));
        }
        let header = Self {
            kind,
            version,
            params: ParamsId(part(&bytes, 16)),
            key,
            body: u64::from_le_bytes(part(&bytes, 80)),
        };
        Ok((header, bytes))
    }
}

/// The remedy for bytes that no version ever wrote.
pub(super) const DAMAGED: &str = "fetch the bytes again: they are damaged";

fn part<const N: usize>(bytes: &[u8; HEADER], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("the fields lie within the header")
}

/// The error for unusable bytes.
pub(crate) fn refuse(
    op: &'static str,
    expected: impl Into<String>,
    got: impl ToString,
    remedy: &'static str,
) -> Error {
    Error::Serialization {
        op,
        expected: expected.into(),
        got: got.to_string(),
        remedy,
    }
}
