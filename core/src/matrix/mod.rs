//! Encrypted arrays and vectors, and matrix products on them.
//!
//! | type | one line |
//! |---|---|
//! | [`Packing`], [`Spread`] | how the entries of a batch of vectors sit in slots |
//! | [`EncryptedVectors`] | a batch of vectors over as many ciphertexts as it needs |
//! | [`ArrayPacking`], [`Lines`] | how an array is cut into such vectors |
//! | [`EncryptedArray`] | an array of any size, with entry by entry arithmetic |
//! | [`RearrangePlan`], [`Rearrange`] | conversions, slices, concatenation |
//! | [`SumPlan`] | sums along an axis |
//! | [`Weights`] | a plaintext matrix, dense or sparse |
//! | [`MatVecPlan`], [`MatVec`] | a plaintext matrix times encrypted vectors |
//! | [`EncryptedMatVec`] | an encrypted matrix times encrypted vectors |
//! | [`MatMulPlan`], [`MatMul`] | a product of two encrypted matrices |
//! | [`FeatureBatch`], [`FeatureLinear`] | a ciphertext for each feature, a slot for each sample; plaintext layers on them |
//! | [`CoeffMatrix`], [`PlainMatrix`] | encrypted matrices in coefficients and their plaintext factors |
//! | [`TransposePlan`], [`Transpose`] | from encrypted rows to encrypted columns and back |
//! | [`SlotsToCoeffsPlan`], [`SlotsToCoeffs`] | arrays in slots to encrypted matrices in coefficients |
//! | [`CoeffsToSlotsPlan`], [`CoeffsToSlots`] | and back |
//! | [`RingPackPlan`], [`RingPack`], [`RingUnpack`] | entries of many ciphertexts in one, and back |
//! | [`CoeffMatMulPlan`], [`CoeffMatMul`] | a product of two encrypted matrices in coefficients, of any size |
//! | [`TiledMatMulPlan`], [`TiledMatMul`], [`TiledMatrix`] | many of them at once, or one by tiles over slots |
//! | [`RetilePlan`], [`Retile`] | their products as sides of the next ones |
//! | [`SlotsToTilesPlan`], [`SlotsToTiles`] | arrays in slots as their sides |
//! | [`TilesToSlotsPlan`], [`TilesToSlots`] | their products as arrays in slots |
//! | [`ProductRequest`], [`Calibration`], [`Explanation`], [`Product`] | the fastest plan of a product on the device at hand |
//! | [`EncryptedMatrix`], [`OperandPacking`] | an encrypted matrix of any packing, and how a plan wants it |
//! | [`RowSecrets`], [`SharedMaskMatrix`] | encrypted matrices whose rows share their mask |
//! | [`SharedMaskKeys`], [`SharedMaskProduct`] | their products with a matrix fixed beforehand |

mod array;
mod array_packing;
mod array_wire;
mod coeff;
mod dispatch;
mod encrypted_matvec;
mod features;
mod matmul;
mod matvec;
mod matvec_plan;
mod packing;
mod rearrange;
mod shape;
mod sum;
mod vectors;
mod weights;
mod wire;

pub use array::EncryptedArray;
pub use array_packing::{ArrayPacking, Lines};
pub use coeff::{
    CoeffForm, CoeffMatMul, CoeffMatMulPlan, CoeffMatrix, CoeffMatrixInfo, CoeffScale,
    CoeffsToSlots, CoeffsToSlotsPlan, PlainMatrix, Retile, RetilePlan, RingPack, RingPackPlan,
    RingUnpack, RowSecrets, SharedMaskInfo, SharedMaskKeys, SharedMaskKeysInfo, SharedMaskMatrix,
    SharedMaskProduct, SlotsToCoeffs, SlotsToCoeffsPlan, SlotsToTiles, SlotsToTilesPlan, TileSide,
    TiledMatMul, TiledMatMulPlan, TiledMatrix, TilesToSlots, TilesToSlotsPlan, Transpose,
    TransposePlan,
};
pub use dispatch::{
    Calibration, Candidate, Clock, EncryptedMatrix, EncryptedMatrixInfo, Explanation,
    OperandPacking, PackedAs, Product, ProductPlan, ProductRequest, Side, Started, Task, WordKind,
    Work, available_memory, memory_limit,
};
pub use encrypted_matvec::EncryptedMatVec;
pub use features::{FeatureBatch, FeatureLinear};
pub use matmul::{MatMul, MatMulPlan};
pub use matvec::MatVec;
pub use matvec_plan::MatVecPlan;
pub use packing::{Packing, Spread};
pub use rearrange::{Rearrange, RearrangePlan};
pub use sum::SumPlan;
pub use vectors::EncryptedVectors;
pub use weights::Weights;
