//! Python bindings of Ringloom: conversion and documentation, no cryptographic decision.
//!
//! | module | one line |
//! |---|---|
//! | `errors` | error variants to exception classes |
//! | `convert`, `progress` | numpy in and out, progress bars |
//! | `wire` | bytes and files |
//! | `device`, `params`, `keys` | what client and server share |
//! | `ciphertext` | ciphertexts at rest: bytes, no operators |
//! | `encryptor` | what encrypts with a public key |
//! | `client` | what holds a secret |
//! | `session`, `tensor`, `weights` | what computes on ciphertexts |
//! | `matrix`, `matrix_ciphertext`, `matrix_encryption`, `matrix_plan` | encrypted matrices, plans of what takes keys |
//! | `array_packing`, `array_index`, `array_plan`, `array_ops` | those in slots, as numpy has arrays |
//! | `conversion`, `conversion_plans`, `tiled_plan` | encrypted matrices from one packing to another |
//! | `product_choice`, `matrix_packing`, `multiplier` | products by the fastest plan |
//! | `shared_mask` | matrices whose rows share their mask |
//! | `int_client`, `int_tensor`, `int_functions` | encrypted integers: keys and ciphertexts, look-ups |
//! | `int_network` | networks of them |
//! | `tfhe_rs` | exchange of ciphertexts with tfhe-rs |
//! | `network`, `image`, `program`, `encrypted_program`, `model` | networks: written, compiled, run |
#![deny(unsafe_code)]

mod array_index;
mod array_ops;
mod array_packing;
mod array_plan;
mod ciphertext;
mod client;
mod conversion;
mod conversion_plans;
mod convert;
mod device;
mod encrypted_program;
mod encryptor;
mod errors;
mod image;
mod int_client;
mod int_functions;
mod int_keys;
mod int_network;
mod int_tensor;
mod key_class;
mod keys;
mod matrix;
mod matrix_ciphertext;
mod matrix_encryption;
mod matrix_packing;
mod matrix_plan;
mod model;
mod multiplier;
mod network;
mod params;
mod product_choice;
mod program;
mod progress;
mod rust_names;
mod session;
mod shared_mask;
mod tensor;
mod tfhe_rs;
mod tiled_plan;
mod weights;
mod wire;

use pyo3::pymodule;

/// The compiled part of the package `ringloom`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::{
        array_ops::concatenate,
        array_packing::{ArrayPacking, concatenate_plan},
        array_plan::ArrayPlan,
        ciphertext::Ciphertext,
        client::Client,
        conversion::{ConversionPlan, MatrixConversion},
        conversion_plans::{
            coeffs_to_slots_plan, retile_plan, ring_pack_plan, ring_unpack_plan,
            slots_to_coeffs_plan, slots_to_tiles_plan, tiles_to_slots_plan,
        },
        device::{DeviceInfo, devices, missing_devices},
        encrypted_program::EncryptedProgram,
        encryptor::Encryptor,
        image::{AvgPool2d, BatchNorm, Conv2d, Flatten},
        int_client::{IntCiphertext, IntClient, IntParams},
        int_functions::{add8, lut8, luts},
        int_keys::{EncryptedIntNetwork, IntKeys, IntPackingKey},
        int_network::{IntLinear, IntModel, IntNetwork},
        int_tensor::{IntSession, IntTensor, lut, relu},
        keys::{EvaluationKeys, PublicKey},
        matrix::MatrixTensor,
        matrix_ciphertext::MatrixCiphertext,
        matrix_packing::{MatrixPacking, MatrixProduct},
        matrix_plan::{MatMulPlan, TransposePlan, matmul_plan, transpose_plan},
        model::{ModelServer, StepReport},
        network::{Activation, Linear, Sequential},
        params::{KeyRequest, MatVecPlan, Params, SecurityReport, matvec_plan},
        product_choice::{Calibration, Explanation, explain},
        program::{FitReport, Prediction, Program, PublicProgram, StepInfo},
        session::Session,
        shared_mask::{SharedMaskCiphertext, SharedMaskKeys, SharedMaskTensor, SharedMaskWeights},
        tensor::{Tensor, align_levels},
        tfhe_rs::{TfheRsExchange, TfheRsExportKey, TfheRsImportKey, TfheRsSecret},
        tiled_plan::{TiledMatMulPlan, tiled_matmul_plan},
        weights::Weights,
    };
}
