//! A client and its server.

use serde_json::{Value, json};
use tfhe::shortint::{
    AtomicPatternParameters, ClientKey, CompressedServerKey, ServerKey,
    parameters::{ClassicPBSParameters, MultiBitPBSParameters},
};

use crate::Result;

/// Keys of a set.
pub struct Party {
    pub client: ClientKey,
    pub server: ServerKey,
    set: &'static str,
    log2_failure: f64,
    lwe_dimension: usize,
    n: usize,
    /// The compressed server key at rest.
    key_bytes: usize,
}

impl Party {
    pub fn classic(set: &'static str, params: ClassicPBSParameters) -> Result<Self> {
        let n = params.polynomial_size.0;
        Self::new(set, params, params.log2_p_fail, params.lwe_dimension.0, n)
    }

    pub fn multi_bit(set: &'static str, params: MultiBitPBSParameters) -> Result<Self> {
        let n = params.polynomial_size.0;
        Self::new(set, params, params.log2_p_fail, params.lwe_dimension.0, n)
    }

    fn new(
        set: &'static str,
        params: impl Into<AtomicPatternParameters>,
        log2_failure: f64,
        lwe_dimension: usize,
        n: usize,
    ) -> Result<Self> {
        let client = ClientKey::new(params.into());
        let compressed = CompressedServerKey::new(&client);
        Ok(Self {
            server: compressed.decompress(),
            key_bytes: bincode::serialize(&compressed)?.len(),
            client,
            set,
            log2_failure,
            lwe_dimension,
            n,
        })
    }

    /// What a result says about its parameters.
    pub fn facts(&self, note: &str, items: Option<usize>) -> Value {
        json!({
            "n": self.n,
            "limbs": 1,
            "log_qp": 64,
            "items": items,
            "tolerance": 0,
            "key_bytes": self.key_bytes,
            "note": format!(
                "{note}; set {}: LWE dimension {}, failure of a look-up 2^{:.1}, compressed server \
                 key of {:.1} MB",
                self.set,
                self.lwe_dimension,
                self.log2_failure,
                self.key_bytes as f64 / 1e6,
            ),
        })
    }
}
