//! Calibrations as JSON, and folders that keep them.

use std::path::Path;

use serde::Deserialize;

use super::{Calibration, VERSION};
use crate::{
    error::{Error, Result},
    matrix::dispatch::work::WordKind,
    session::Session,
};

/// What every version has.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl Calibration {
    /// The calibration of a session's parameters and device that a folder keeps, or a new one, which is then
    /// kept there. The name of the file says parameters, device and threads, so that one folder serves
    /// all; a file that another version wrote is measured again.
    ///
    /// # Errors
    /// As [`Calibration::measure`]; [`Error::File`].
    pub fn cached(folder: impl AsRef<Path>, session: &Session) -> Result<Self> {
        let op = "Calibration::cached";
        let threads = session.ring().capabilities().parallelism;
        let device = session
            .device()
            .replace(|c: char| !c.is_alphanumeric(), "-");
        let params = session.params().id();
        let name = format!("calibration-{params}-{device}-{threads}.json");
        let folder = folder.as_ref();
        let path = folder.join(name);
        match Self::load(&path) {
            Ok(kept) if kept.check(op, session.params()).is_ok() => return Ok(kept),
            Err(e @ Error::File { .. }) if path.exists() => return Err(e),
            _ => {}
        }
        let measured = Self::measure(session)?;
        std::fs::create_dir_all(folder).map_err(|e| file(op, folder, &e))?;
        measured.save(&path)?;
        Ok(measured)
    }

    /// The calibration as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and names have a JSON form")
    }

    /// A calibration from JSON.
    ///
    /// # Errors
    /// [`Error::Serialization`] for anything else, another version, or times that are none.
    pub fn from_json(text: &str) -> Result<Self> {
        let op = "Calibration::from_json";
        let refused = |expected: &str, got: String| Error::Serialization {
            op,
            expected: expected.into(),
            got,
            remedy: "measure the device again: Calibration::measure",
        };
        let json = |e: serde_json::Error| refused("a calibration as JSON", e.to_string());
        // Alone and first: other versions may have other times.
        let Head { version } = serde_json::from_str(text).map_err(json)?;
        if version != VERSION {
            let expected = format!("version {VERSION}");
            return Err(refused(&expected, format!("version {version}")));
        }
        let read: Self = serde_json::from_str(text).map_err(json)?;
        let known = |kind: &WordKind| read.times.words.contains_key(&format!("{kind:?}"));
        if read.times.levels.is_empty() || !WordKind::ALL.iter().all(known) {
            return Err(refused("times of every kind of command", "fewer".into()));
        }
        if !read.times.all().all(|t| t.is_finite() && t > 0.0) {
            return Err(refused("positive times", "others".into()));
        }
        let (integers, images) = (&read.times.integers, &read.times.images);
        if !integers.is_whole() || !images.is_whole() || !read.times.caches.is_whole() {
            return Err(refused(
                "a time for each size of a product",
                "others".into(),
            ));
        }
        Ok(read)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, self.to_json()).map_err(|e| file("Calibration::save", path, &e))
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// [`Error::File`]; as [`Calibration::from_json`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|e| file("Calibration::load", path, &e))?;
        Self::from_json(&text)
    }
}

fn file(op: &'static str, path: &Path, e: &std::io::Error) -> Error {
    Error::File {
        op,
        path: path.to_owned(),
        cause: e.to_string(),
    }
}
