//! Neural networks on encrypted vectors: layers, compilation, prediction, execution.
//!
//! | type | one line |
//! |---|---|
//! | [`Sequential`], [`Layer`], [`Linear`], [`Activation`] | a network as the user writes it |
//! | [`Conv2d`], [`AvgPool2d`], [`BatchNorm`] | layers on images |
//! | [`Program`] | the network compiled: levels, packing, polynomials; holds the weights |
//! | [`EncryptedProgram`] | the same with encrypted weights, for a server that may not see them |
//! | [`PublicProgram`] | the client's part: no trace of the weights |
//! | [`Prediction`] | error, depth and bytes before any key is made |
//! | [`Server`] | a program encoded on a device, with keys: runs on ciphertexts |
//!
//! A program answers in three modes: [`Program::clear`] (the polynomial model in floating point),
//! [`Program::simulate`] (the same with the predicted noise), and [`Server::run`] (encrypted).

mod activation;
mod compile;
mod encrypted;
mod image;
mod layers;
mod noise;
mod program;
mod server;
mod wire;

pub use activation::{Activation, FitReport};
pub use compile::CompileOptions;
pub use encrypted::EncryptedProgram;
pub use image::{AvgPool2d, Conv2d, ImageShape};
pub use layers::{BatchNorm, DataShape, Layer, Linear, Sequential};
pub use program::{Prediction, Program, PublicProgram, StepInfo};
pub use server::{Server, StepReport};
