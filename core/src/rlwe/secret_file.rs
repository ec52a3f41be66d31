//! Secret keys in files.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::Path,
};

use zeroize::Zeroizing;

use super::secret_key::{KeyId, SecretKey};
use crate::{
    error::Result,
    serial::{Kind, OVERHEAD, Reader, file_error, write_frame},
    session::Session,
};

impl SecretKey {
    /// Writes the secret to a new file that only its owner may read (mode 0600 where the system
    /// has modes). Whoever has the file can decrypt everything.
    ///
    /// The file starts with `RLSECRET`; its body is the ternary coefficients plus one in two bits
    /// each, lowest first. Buffers are wiped.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File), also when the file exists already.
    pub fn export_secret(&self, path: &Path) -> Result<()> {
        let op = "SecretKey::export_secret";
        let mut packed = Zeroizing::new(Vec::with_capacity(self.coeffs().len() / 4));
        // Constant time: shifts and sums only.
        packed.extend(self.coeffs().chunks_exact(4).map(|four| {
            let bits = four.iter().rev();
            bits.fold(0, |byte, &c| byte << 2 | (c + 1) as u8)
        }));
        // Room for all of it, so that no part stays behind in an outgrown allocation.
        let mut bytes = Zeroizing::new(Vec::with_capacity(packed.len() + OVERHEAD as usize));
        let (params, key) = (self.session().params().id(), *self.id().as_bytes());
        write_frame(&mut *bytes, Kind::SecretKey, params, key, |w| {
            w.bytes(&packed)
        })?;
        let mut file = create_private(path).map_err(|e| file_error(op, path, &e))?;
        let written = file.write_all(&bytes).and_then(|()| file.sync_all());
        written.map_err(|e| {
            // The first error is the one to tell.
            let _ = fs::remove_file(path);
            file_error(op, path, &e)
        })
    }

    /// Reads a secret from a file that [`SecretKey::export_secret`] wrote for the same parameters.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) for a file that cannot be read, or that others than its
    /// owner may read or write; [`Error::Serialization`](crate::Error::Serialization) for a
    /// damaged one; [`Error::ParamsMismatch`](crate::Error::ParamsMismatch);
    /// [`Error::Ring`](crate::Error::Ring) when the session's device is not the host CPU.
    pub fn import_secret(session: &Session, path: &Path) -> Result<Self> {
        let op = "SecretKey::import_secret";
        let file = File::open(path).map_err(|e| file_error(op, path, &e))?;
        check_private(&file).map_err(|cause| file_error(op, path, &cause))?;
        let n = session.params().n();
        let size = n as u64 / 4 + OVERHEAD;
        // One byte more than expected tells a longer file and never makes the buffer grow.
        let mut bytes = Zeroizing::new(Vec::with_capacity(size as usize + 1));
        let read = file.take(size + 1).read_to_end(&mut bytes);
        read.map_err(|e| file_error(op, path, &e))?;
        let mut rest = bytes.as_slice();
        let (header, mut reader) = Reader::open(&mut rest, Kind::SecretKey, u64::MAX)?;
        header.check_params(session.params().id())?;
        if reader.left() != n as u64 / 4 || bytes.len() as u64 > size {
            let got = format!("a body of {} bytes", reader.left());
            return Err(reader.refuse(format!("a file of {size} bytes"), got));
        }
        let mut packed = Zeroizing::new(vec![0; n / 4]);
        reader.bytes(&mut packed)?;
        // 3 is no coefficient. Looked for without an exit that depends on the secret.
        let bad = packed
            .iter()
            .fold(0, |bad, byte| bad | (byte & byte >> 1 & 0x55));
        if bad != 0 {
            return Err(reader.refuse("ternary coefficients", "others"));
        }
        reader.finish()?;
        let mut coeffs = Zeroizing::new(Vec::with_capacity(n));
        let unpacked = |byte: &u8| {
            let byte = *byte;
            (0..4).map(move |i| (byte >> (2 * i) & 3) as i8 - 1)
        };
        coeffs.extend(packed.iter().flat_map(unpacked));
        Self::from_coeffs(session, KeyId::of(&header), coeffs)
    }
}

fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(unix)]
fn check_private(file: &File) -> std::result::Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|e| e.to_string())?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(format!(
            "mode {mode:03o}, which lets others read or write a secret key (run chmod 600 on it, \
             and make a new key if others may have read it)"
        ))
    }
}

#[cfg(not(unix))]
fn check_private(_: &File) -> std::result::Result<(), String> {
    Ok(())
}
