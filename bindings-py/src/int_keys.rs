//! The keys of a server of encrypted integers, and encrypted weights, at rest.

use pyo3::prelude::*;
use ringloom::tfhe::{self, SeededPackingKey, SeededTfheKeys, TfheParams};

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

key_class!(
    /// A network of integers whose weights and biases are encrypted under the client's key: a server
    /// computes with it and sees neither weights nor inputs. Sizes, ranges and tables are public.
    EncryptedIntNetwork,
    EncryptedIntNetwork,
    tfhe::EncryptedIntNetwork,
    TfheParams
);
