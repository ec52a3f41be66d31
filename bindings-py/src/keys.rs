//! Public keys and evaluation keys at rest.

use pyo3::prelude::*;
use ringloom::{rlwe::SeededKeys, serial::Encode};

use crate::key_class::key_class;

key_class!(
    /// The public encryption key.
    PublicKey,
    PublicKey,
    ringloom::PublicKey,
    ringloom::Params
);

key_class!(
    /// Key-switch keys that answer a `KeyRequest`: public, made by a client, loaded by servers.
    EvaluationKeys,
    SeededKeys,
    SeededKeys,
    ringloom::Params
);

impl PublicKey {
    pub fn new(key: &ringloom::PublicKey) -> ringloom::Result<Self> {
        Self::closed(key.to_bytes()?)
    }
}

impl EvaluationKeys {
    pub fn new(keys: &SeededKeys) -> ringloom::Result<Self> {
        Self::closed(keys.to_bytes()?)
    }
}
