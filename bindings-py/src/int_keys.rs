//! The keys of a server of encrypted integers, at rest.

use pyo3::prelude::*;
use ringloom::tfhe::{SeededPackingKey, SeededTfheKeys, TfheParams};

use crate::key_class::key_class;

key_class!(
    /// Keys that a server needs for look-ups: public, made by a client, loaded by servers.
    IntKeys,
    TfheKeys,
    SeededTfheKeys,
    TfheParams
);

key_class!(
    /// What a server needs for functions of integers of 8 bits beside `IntKeys`: public, made by a
    /// client, loaded by servers.
    IntPackingKey,
    PackingKey,
    SeededPackingKey,
    TfheParams
);
