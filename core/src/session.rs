//! Parameters on a device.

use std::{fmt, sync::Arc};

use ringloom_ntt::{Ring, device::Device, host_fft::SpecialFft};

use crate::{
    error::{Error, Result},
    params::{Params, ParamsId},
};

/// Checked parameters on one device: what keys, ciphertexts and evaluators are made for.
///
/// Cheap to clone, `Send + Sync`. A client's session lives on a host CPU device, because that is
/// the only place where secrets may be; a server's session may live on any device.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    params: Params,
    ring: Ring,
    fft: SpecialFft,
}

impl Session {
    /// Opens the parameters' ring on a device.
    ///
    /// # Errors
    /// What the device refuses, as [`Error::Ring`].
    pub fn new(params: &Params, device: &dyn Device) -> Result<Self> {
        let ring = Ring::new(device, params.ring_spec())?;
        let fft = SpecialFft::new(params.log_n())?;
        Ok(Self(Arc::new(Inner {
            params: params.clone(),
            ring,
            fft,
        })))
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.0.params
    }

    /// The ring on the device, for statistics and for layers below the schemes.
    pub fn ring(&self) -> &Ring {
        &self.0.ring
    }

    /// Name of the device.
    pub fn device(&self) -> &str {
        self.ring().device()
    }

    pub(crate) fn fft(&self) -> &SpecialFft {
        &self.0.fft
    }

    /// Whether `other` is a clone of this very session.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn check_params(&self, op: &'static str, id: ParamsId) -> Result<()> {
        let expected = self.params().id();
        if expected == id {
            return Ok(());
        }
        Err(Error::ParamsMismatch {
            op,
            expected: expected.to_string(),
            got: id.to_string(),
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} on {})", self.params().id(), self.device())
    }
}
