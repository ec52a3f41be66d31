//! Parameters on a device.

use std::{fmt, sync::Arc};

use ringloom_ntt::{
    Ring,
    device::Device,
    poly::{LimbSet, Shape},
};

use super::params::TfheParams;
use crate::error::{Error, Result};

/// TFHE parameters on one device: what keys, ciphertexts and evaluators are made for.
///
/// Cheap to clone, `Send + Sync`. A client's session lives on a host CPU device, because that is
/// the only place where secrets may be; a server's session may live on any device.
#[derive(Clone)]
pub struct TfheSession(Arc<Inner>);

struct Inner {
    params: TfheParams,
    ring: Ring,
}

impl TfheSession {
    /// Opens the parameters' ring on a device.
    ///
    /// # Errors
    /// What the device refuses, as [`Error::Ring`].
    pub fn new(params: &TfheParams, device: &dyn Device) -> Result<Self> {
        let ring = Ring::new(device, params.ring_spec())?;
        let params = params.clone();
        Ok(Self(Arc::new(Inner { params, ring })))
    }

    /// The parameters.
    pub fn params(&self) -> &TfheParams {
        &self.0.params
    }

    /// The ring on the device, for statistics.
    pub fn ring(&self) -> &Ring {
        &self.0.ring
    }

    /// Name of the device.
    pub fn device(&self) -> &str {
        self.ring().device()
    }

    /// `polys` polynomials.
    pub(super) fn shape(&self, polys: usize) -> Shape {
        Shape::new(polys, LimbSet::range(0, 1), self.params().log_n())
    }

    /// Whether `other` is a clone of this very session.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn check_params(&self, op: &'static str, other: &TfheParams) -> Result<()> {
        if self.params() == other {
            return Ok(());
        }
        Err(Error::ParamsMismatch {
            op,
            expected: self.params().to_string(),
            got: other.to_string(),
        })
    }
}

impl fmt::Debug for TfheSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TfheSession({} on {})", self.params(), self.device())
    }
}
