//! Commands as data.

use std::sync::Arc;

use super::{
    BaseConvertPlan, DigitPlan, Factors, GadgetPlan, HoistedRotation, HoistedRotations, KeySwitch,
    LweSwitchKey, ModDownPlan, Owner, RawBuf, RotationPlan, SeedLayout, View, ViewMut,
};

/// One command on views of buffers of one ring. See `device/contract.md` for what every device
/// promises about it.
///
/// Commands own handles of their buffers, so that they can be queued, recorded and replayed.
/// *Primitive* kinds run on every device; *fused* kinds are optional and have a lowering.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cmd {
    /// `dst = src`, on the limbs and polynomials of `dst`.
    Copy {
        /// Destination.
        dst: ViewMut,
        /// Source with the same shape and domain.
        src: View,
    },
    /// Word by word, modulo each limb. In the evaluation domain `Mul` is the ring product.
    Elementwise {
        /// What to compute.
        op: ElementwiseOp,
        /// Destination; also the accumulator of `MulAcc`.
        dst: ViewMut,
        /// First operand; `None` stands for `dst` itself (in place).
        a: Option<View>,
        /// Second operand (none for `Neg`); a batch of one is used for every polynomial.
        b: Option<View>,
    },
    /// `dst = src * consts[limb]`.
    ScaleLimbs {
        /// Destination.
        dst: ViewMut,
        /// Source; `None` stands for `dst` itself (in place).
        src: Option<View>,
        /// One residue per limb of `dst`, in table order.
        consts: Arc<[u64]>,
    },
    /// `dst = src + consts[limb]` on every word: in the evaluation domain, adds a constant.
    OffsetLimbs {
        /// Destination.
        dst: ViewMut,
        /// Source; `None` stands for `dst` itself (in place).
        src: Option<View>,
        /// One residue per limb of `dst`, in table order.
        consts: Arc<[u64]>,
    },
    /// Negacyclic NTT in place, or its inverse (including the factor 1/N).
    Ntt {
        /// Operand, in the coefficient domain (forward) or the evaluation domain (inverse).
        buf: ViewMut,
        /// Direction.
        inverse: bool,
    },
    /// Moves residues from the limbs of `src` to those of `dst` (coefficient domain).
    BaseConvert {
        /// Destination: exactly the target limbs of the plan.
        dst: ViewMut,
        /// Source: the source limbs of the plan.
        src: View,
        /// Constants and mode.
        plan: Arc<BaseConvertPlan>,
    },
    /// `X -> X^galois`, in either domain.
    Automorphism {
        /// Destination.
        dst: ViewMut,
        /// Source.
        src: View,
        /// Odd, below `2N`.
        galois: u64,
    },
    /// `dst = src * X^e`, where `X^N = -1` (coefficient domain).
    Monomial {
        /// Destination.
        dst: ViewMut,
        /// Source; a batch that divides that of the destination is used again and again.
        src: View,
        /// The exponents.
        power: Power,
    },
    /// One digit of every word, as a residue (coefficient domain).
    Digit {
        /// Destination.
        dst: ViewMut,
        /// Source.
        src: View,
        /// Base and number of digits, no more bits than any modulus has.
        plan: DigitPlan,
        /// Which digit: 1 is the most significant.
        level: u32,
    },
    /// Small LWE ciphertexts modulo `2^32` to exponents modulo `2N`: [`lwe_mod_switch`] on each.
    ///
    /// [`lwe_mod_switch`]: super::lwe_mod_switch
    LweModSwitch {
        /// Destination: one limb, [`lwe_width`](super::lwe_width) polynomials per ciphertext.
        dst: ViewMut,
        /// Source, shaped like the destination.
        src: View,
        /// Mask words of a ciphertext.
        dimension: usize,
    },
    /// Small LWE ciphertexts modulo `2^32` to the exponents modulo `2N` of a rotation that takes
    /// several key bits per step: [`lwe_group_switch`] on each.
    ///
    /// [`lwe_group_switch`]: super::lwe_group_switch
    LweGroupSwitch {
        /// Destination: one limb, `lwe_width(plan.exponents(), log_n)` polynomials per ciphertext.
        dst: ViewMut,
        /// Source: as many ciphertexts of `lwe_width(plan.dimension(), log_n)` polynomials.
        src: View,
        /// The rotation.
        plan: RotationPlan,
    },
    /// LWE ciphertexts modulo `q` to a small secret and modulo `2^32`: [`LweSwitchKey::switch`]
    /// on each.
    LweKeySwitch {
        /// Destination: one limb, [`lwe_width`](super::lwe_width) polynomials per ciphertext.
        dst: ViewMut,
        /// Source: as many ciphertexts of the key's source dimension.
        src: View,
        /// The key.
        key: LweSwitchKey,
    },
    /// Words of a ChaCha20 stream modulo each limb: the public half of a seeded key.
    ExpandSeed {
        /// Destination; polynomial `i` of the view is digit `i`.
        dst: ViewMut,
        /// Seed and position.
        seed: SeedLayout,
    },
    /// `acc[c] (+)= sum_d digits[d] * key[2d + c]` for `c` in 0, 1: the inner product of a
    /// gadget decomposition with a key.
    InnerProduct {
        /// Accumulator: two polynomials, evaluation domain, extended basis.
        acc: ViewMut,
        /// Digits in the evaluation domain, extended basis.
        digits: View,
        /// Prepared key with at least as many digit pairs; more limbs and digits are skipped.
        key: View,
        /// Whether to add to `acc` or to overwrite it.
        accumulate: bool,
    },
    /// `acc (+)= sum_k rotated[k] * diagonals[k]`, each diagonal used for every polynomial.
    DiagMulAcc {
        /// Accumulator.
        acc: ViewMut,
        /// Pairs of a view shaped like `acc` and a prepared diagonal (batch of one).
        terms: Vec<(View, View)>,
        /// Whether to add to `acc` or to overwrite it.
        accumulate: bool,
    },
    /// Fused: `dst = (a0 b0, a0 b1 + a1 b0, a1 b1)`.
    Tensor {
        /// Destination: three polynomials.
        dst: ViewMut,
        /// Two polynomials, evaluation domain.
        a: View,
        /// Two polynomials, evaluation domain.
        b: View,
    },
    /// Fused: divides by the product of the dropped limbs with centred rounding. Rescale,
    /// mod-down and the merged form are this one command; only the plan differs.
    ModDown {
        /// Destination: the kept limbs.
        dst: ViewMut,
        /// Source: kept and dropped limbs, evaluation domain.
        src: View,
        /// Which limbs go, and the constants.
        plan: Arc<ModDownPlan>,
    },
    /// Fused: gadget decomposition of one polynomial, digits extended to the whole basis.
    Decompose {
        /// Destination: one polynomial per digit, extended basis, evaluation domain.
        dst: ViewMut,
        /// Source: one polynomial, evaluation domain, the source limbs of the plan.
        src: View,
        /// Digits and constants.
        plan: Arc<GadgetPlan>,
    },
    /// Fused: `dst[i] = sum_j left[i][j] * src[j]`, a product of matrices modulo each limb, whose
    /// right operand has polynomials as rows. Row `j` of an operand is `lanes` consecutive
    /// polynomials, such as the two of a ciphertext. With folded factors its kind is
    /// [`CmdKind::FoldedMatMul`].
    ModMatMul {
        /// Destination: `left.rows() * lanes` polynomials, either domain for integer factors that are not
        /// [folded](Factors::Folded).
        dst: ViewMut,
        /// Left operand.
        left: Factors,
        /// Right operand: `left.columns() * lanes` polynomials, the domain of `dst`.
        src: View,
        /// Polynomials of a row.
        lanes: usize,
    },
    /// Fused: blind rotation of a batch of accumulators (coefficient domain, one limb).
    ///
    /// Accumulator `r` starts as `X^-b` times its table, where `b` is the body of LWE ciphertext
    /// `r`; then for every mask word `a_i` in turn `acc += GGSW_i * (X^a_i acc - acc)`, where the
    /// external product is the sum over the rows of digit times key. Under keys of the bits `s_i`
    /// this is a rotation by `X^-(b - sum a_i s_i)`.
    ///
    /// A plan with groups of `g > 1` bits takes a group per step: its `2^g - 1` exponents `a_p`,
    /// one for each pattern `p` of bits that are not all zero, and as many GGSW ciphertexts, of 1
    /// for the pattern of the group and of 0 for the others. With `G` the gadget matrix,
    /// `acc = (G + sum_p (X^a_p - 1) GGSW_p) * acc`. Its kind is [`CmdKind::GroupedRotate`].
    ///
    /// *Reference*: \[CGGI20\] algorithm 9; groups: \[JP22\].
    BlindRotate {
        /// Accumulators: [`RotationPlan::lanes`] polynomials for each ciphertext.
        acc: ViewMut,
        /// Tables: as many polynomials, or those of one accumulator for all.
        table: View,
        /// LWE ciphertexts modulo `2N`: `lwe_width(plan.exponents(), log_n)` polynomials for each.
        lwe: View,
        /// Prepared [`Role::Diagonal`](super::Role::Diagonal) with [`RotationPlan::key_polys`]
        /// polynomials.
        key: View,
        /// Dimensions and digits.
        plan: RotationPlan,
    },
    /// Fused: [`Cmd::Decompose`] followed by [`Cmd::InnerProduct`]; leaves the result in the
    /// extended basis.
    GadgetProduct {
        /// Accumulator: two polynomials, evaluation domain, extended basis.
        acc: ViewMut,
        /// One polynomial, evaluation domain.
        src: View,
        /// Prepared key.
        key: View,
        /// Digits and constants.
        plan: Arc<GadgetPlan>,
        /// Whether to add to `acc` or to overwrite it.
        accumulate: bool,
    },
    /// Fused: a key-switch from the digits to the automorphism: [`Cmd::GadgetProduct`] or
    /// [`Cmd::InnerProduct`], a multiple of another operand added, [`Cmd::ModDown`],
    /// [`Cmd::Automorphism`].
    KeySwitch {
        /// Destination: two polynomials, evaluation domain, the kept limbs.
        dst: ViewMut,
        /// Everything else.
        switch: Box<KeySwitch>,
    },
    /// Fused: rotations of one polynomial by several keys: [`Cmd::KeySwitch`] of the same digits
    /// and the same other operand, once for each key. Without a division each of them is
    /// [`Cmd::InnerProduct`], a multiple of the other operand added, [`Cmd::Automorphism`].
    HoistedRotate {
        /// At least one key, with its destination.
        rotations: Vec<HoistedRotation>,
        /// Everything else.
        shared: Box<HoistedRotations>,
    },
}

/// The operation of [`Cmd::Elementwise`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ElementwiseOp {
    /// `dst = a + b`.
    Add,
    /// `dst = a - b`.
    Sub,
    /// `dst = -a`.
    Neg,
    /// `dst = a * b`.
    Mul,
    /// `dst += a * b`; `a` must be given.
    MulAcc,
}

/// The exponents of [`Cmd::Monomial`].
#[derive(Clone, Debug)]
pub enum Power {
    /// One for all polynomials; counts modulo `2N`.
    Fixed(u64),
    /// A word of each ciphertext of an LWE batch, for the same number of polynomials each.
    Word {
        /// The batch; words count modulo `2N`.
        lwe: View,
        /// Polynomials of a ciphertext of the batch.
        width: usize,
        /// Which word.
        index: usize,
        /// Whether to take the exponent's negative.
        inverse: bool,
    },
}

/// The kind of a command, for capability queries, statistics and traces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)] // the variants mirror `Cmd`
pub enum CmdKind {
    Copy,
    Elementwise,
    ScaleLimbs,
    OffsetLimbs,
    Ntt,
    BaseConvert,
    Automorphism,
    Monomial,
    Digit,
    LweModSwitch,
    LweGroupSwitch,
    LweKeySwitch,
    ExpandSeed,
    InnerProduct,
    DiagMulAcc,
    Tensor,
    ModDown,
    Decompose,
    ModMatMul,
    /// [`Cmd::ModMatMul`] with folded factors.
    FoldedMatMul,
    BlindRotate,
    /// [`Cmd::BlindRotate`] by a plan with groups of key bits.
    GroupedRotate,
    GadgetProduct,
    KeySwitch,
    HoistedRotate,
}

impl CmdKind {
    /// Every kind.
    pub const ALL: [Self; 25] = [
        Self::Copy,
        Self::Elementwise,
        Self::ScaleLimbs,
        Self::OffsetLimbs,
        Self::Ntt,
        Self::BaseConvert,
        Self::Automorphism,
        Self::Monomial,
        Self::Digit,
        Self::LweModSwitch,
        Self::LweGroupSwitch,
        Self::LweKeySwitch,
        Self::ExpandSeed,
        Self::InnerProduct,
        Self::DiagMulAcc,
        Self::Tensor,
        Self::ModDown,
        Self::Decompose,
        Self::ModMatMul,
        Self::FoldedMatMul,
        Self::BlindRotate,
        Self::GroupedRotate,
        Self::GadgetProduct,
        Self::KeySwitch,
        Self::HoistedRotate,
    ];

    /// Whether devices may leave the kind to its lowering.
    pub const fn is_fused(self) -> bool {
        matches!(
            self,
            Self::Tensor
                | Self::ModDown
                | Self::Decompose
                | Self::ModMatMul
                | Self::FoldedMatMul
                | Self::BlindRotate
                | Self::GroupedRotate
                | Self::GadgetProduct
                | Self::KeySwitch
                | Self::HoistedRotate
        )
    }

    /// Whether the host may run the kind for a device that does not, on words it fetches and
    /// sends back. Such commands count as [host fallbacks](crate::device::Stats).
    pub const fn has_host_form(self) -> bool {
        matches!(
            self,
            Self::Monomial
                | Self::Digit
                | Self::LweModSwitch
                | Self::LweGroupSwitch
                | Self::LweKeySwitch
        )
    }

    /// The name used in messages and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Elementwise => "elementwise",
            Self::ScaleLimbs => "scale_limbs",
            Self::OffsetLimbs => "offset_limbs",
            Self::Ntt => "ntt",
            Self::BaseConvert => "base_convert",
            Self::Automorphism => "automorphism",
            Self::Monomial => "monomial",
            Self::Digit => "digit",
            Self::LweModSwitch => "lwe_mod_switch",
            Self::LweGroupSwitch => "lwe_group_switch",
            Self::LweKeySwitch => "lwe_key_switch",
            Self::ExpandSeed => "expand_seed",
            Self::InnerProduct => "inner_product",
            Self::DiagMulAcc => "diag_mul_acc",
            Self::Tensor => "tensor",
            Self::ModDown => "mod_down",
            Self::Decompose => "decompose",
            Self::ModMatMul => "mod_mat_mul",
            Self::FoldedMatMul => "folded_mat_mul",
            Self::BlindRotate => "blind_rotate",
            Self::GroupedRotate => "grouped_rotate",
            Self::GadgetProduct => "gadget_product",
            Self::KeySwitch => "key_switch",
            Self::HoistedRotate => "hoisted_rotate",
        }
    }
}

impl ElementwiseOp {
    /// The name used in messages and statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Neg => "neg",
            Self::Mul => "mul",
            Self::MulAcc => "mul_acc",
        }
    }
}

impl Cmd {
    /// The name of the operation of an elementwise command, of the kind for all others.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Elementwise { op, .. } => op.name(),
            other => other.kind().name(),
        }
    }

    /// The kind.
    pub const fn kind(&self) -> CmdKind {
        match self {
            Self::Copy { .. } => CmdKind::Copy,
            Self::Elementwise { .. } => CmdKind::Elementwise,
            Self::ScaleLimbs { .. } => CmdKind::ScaleLimbs,
            Self::OffsetLimbs { .. } => CmdKind::OffsetLimbs,
            Self::Ntt { .. } => CmdKind::Ntt,
            Self::BaseConvert { .. } => CmdKind::BaseConvert,
            Self::Automorphism { .. } => CmdKind::Automorphism,
            Self::Monomial { .. } => CmdKind::Monomial,
            Self::Digit { .. } => CmdKind::Digit,
            Self::LweModSwitch { .. } => CmdKind::LweModSwitch,
            Self::LweGroupSwitch { .. } => CmdKind::LweGroupSwitch,
            Self::LweKeySwitch { .. } => CmdKind::LweKeySwitch,
            Self::ExpandSeed { .. } => CmdKind::ExpandSeed,
            Self::InnerProduct { .. } => CmdKind::InnerProduct,
            Self::DiagMulAcc { .. } => CmdKind::DiagMulAcc,
            Self::Tensor { .. } => CmdKind::Tensor,
            Self::ModDown { .. } => CmdKind::ModDown,
            Self::Decompose { .. } => CmdKind::Decompose,
            Self::ModMatMul {
                left: Factors::Folded { .. },
                ..
            } => CmdKind::FoldedMatMul,
            Self::ModMatMul { .. } => CmdKind::ModMatMul,
            Self::BlindRotate { plan, .. } if plan.group() > 1 => CmdKind::GroupedRotate,
            Self::BlindRotate { .. } => CmdKind::BlindRotate,
            Self::GadgetProduct { .. } => CmdKind::GadgetProduct,
            Self::KeySwitch { .. } => CmdKind::KeySwitch,
            Self::HoistedRotate { .. } => CmdKind::HoistedRotate,
        }
    }

    /// The views that the command writes: one, but for [`Cmd::HoistedRotate`].
    pub fn dsts(&self) -> Vec<&ViewMut> {
        match self {
            Self::Copy { dst, .. }
            | Self::Elementwise { dst, .. }
            | Self::ScaleLimbs { dst, .. }
            | Self::OffsetLimbs { dst, .. }
            | Self::Ntt { buf: dst, .. }
            | Self::BaseConvert { dst, .. }
            | Self::Automorphism { dst, .. }
            | Self::Monomial { dst, .. }
            | Self::Digit { dst, .. }
            | Self::LweModSwitch { dst, .. }
            | Self::LweGroupSwitch { dst, .. }
            | Self::LweKeySwitch { dst, .. }
            | Self::ExpandSeed { dst, .. }
            | Self::InnerProduct { acc: dst, .. }
            | Self::DiagMulAcc { acc: dst, .. }
            | Self::Tensor { dst, .. }
            | Self::ModDown { dst, .. }
            | Self::Decompose { dst, .. }
            | Self::ModMatMul { dst, .. }
            | Self::BlindRotate { acc: dst, .. }
            | Self::GadgetProduct { acc: dst, .. }
            | Self::KeySwitch { dst, .. } => vec![dst],
            Self::HoistedRotate { rotations, .. } => rotations.iter().map(|r| &r.dst).collect(),
        }
    }

    /// The views that the command only reads.
    pub fn sources(&self) -> Vec<&View> {
        match self {
            Self::Copy { src, .. }
            | Self::BaseConvert { src, .. }
            | Self::Automorphism { src, .. }
            | Self::Digit { src, .. }
            | Self::LweModSwitch { src, .. }
            | Self::LweGroupSwitch { src, .. }
            | Self::LweKeySwitch { src, .. }
            | Self::ModDown { src, .. }
            | Self::Decompose { src, .. } => vec![src],
            Self::ModMatMul { left, src, .. } => left.polys().into_iter().chain([src]).collect(),
            Self::Elementwise { a, b, .. } => a.iter().chain(b).collect(),
            Self::ScaleLimbs { src, .. } | Self::OffsetLimbs { src, .. } => src.iter().collect(),
            Self::Ntt { .. } | Self::ExpandSeed { .. } => Vec::new(),
            Self::InnerProduct { digits, key, .. } => vec![digits, key],
            Self::DiagMulAcc { terms, .. } => terms.iter().flat_map(|(a, b)| [a, b]).collect(),
            Self::Tensor { a, b, .. } => vec![a, b],
            Self::Monomial { src, power, .. } => match power {
                Power::Fixed(_) => vec![src],
                Power::Word { lwe, .. } => vec![src, lwe],
            },
            Self::BlindRotate {
                table, lwe, key, ..
            } => vec![table, lwe, key],
            Self::GadgetProduct { src, key, .. } => vec![src, key],
            Self::KeySwitch { switch, .. } => switch.views().to_vec(),
            Self::HoistedRotate { rotations, shared } => {
                let keys = rotations.iter().map(|r| &r.key);
                shared.views().into_iter().chain(keys).collect()
            }
        }
    }

    /// The same command on other buffers: the one visitor that wrapping devices need.
    #[must_use]
    pub fn map_buffers(&self, mut f: impl FnMut(&RawBuf) -> RawBuf) -> Self {
        let mut cmd = self.clone();
        cmd.visit_views(&mut |view| view.map_raw(&mut f));
        cmd
    }

    /// The same command on buffers of another ring, so that the other ring accepts it.
    #[must_use]
    pub(crate) fn moved(&self, owner: &Owner, mut f: impl FnMut(&RawBuf) -> RawBuf) -> Self {
        let mut cmd = self.clone();
        cmd.visit_views(&mut |view| *view = view.moved(owner, f(view.raw())));
        cmd
    }

    fn visit_views(&mut self, f: &mut dyn FnMut(&mut View)) {
        match self {
            Self::Copy { dst, src }
            | Self::BaseConvert { dst, src, .. }
            | Self::Automorphism { dst, src, .. }
            | Self::Digit { dst, src, .. }
            | Self::LweModSwitch { dst, src, .. }
            | Self::LweGroupSwitch { dst, src, .. }
            | Self::LweKeySwitch { dst, src, .. }
            | Self::ModDown { dst, src, .. }
            | Self::Decompose { dst, src, .. } => {
                f(dst.inner());
                f(src);
            }
            Self::ModMatMul { dst, left, src, .. } => {
                f(dst.inner());
                left.polys_mut().into_iter().for_each(&mut *f);
                f(src);
            }
            Self::BlindRotate {
                acc,
                table,
                lwe,
                key,
                ..
            } => {
                f(acc.inner());
                [table, lwe, key].into_iter().for_each(f);
            }
            Self::Monomial { dst, src, power } => {
                f(dst.inner());
                f(src);
                if let Power::Word { lwe, .. } = power {
                    f(lwe);
                }
            }
            Self::Elementwise { dst, a, b, .. } => {
                f(dst.inner());
                a.iter_mut().chain(b).for_each(f);
            }
            Self::ScaleLimbs { dst, src, .. } | Self::OffsetLimbs { dst, src, .. } => {
                f(dst.inner());
                src.iter_mut().for_each(f);
            }
            Self::Ntt { buf: dst, .. } | Self::ExpandSeed { dst, .. } => f(dst.inner()),
            Self::InnerProduct {
                acc,
                digits: a,
                key: b,
                ..
            }
            | Self::Tensor { dst: acc, a, b }
            | Self::GadgetProduct {
                acc,
                src: a,
                key: b,
                ..
            } => {
                f(acc.inner());
                f(a);
                f(b);
            }
            Self::KeySwitch { dst, switch } => {
                f(dst.inner());
                switch.views_mut().into_iter().for_each(f);
            }
            Self::HoistedRotate { rotations, shared } => {
                for rotation in rotations {
                    f(rotation.dst.inner());
                    f(&mut rotation.key);
                }
                shared.views_mut().into_iter().for_each(f);
            }
            Self::DiagMulAcc { acc, terms, .. } => {
                f(acc.inner());
                terms.iter_mut().for_each(|(rotated, diagonal)| {
                    f(rotated);
                    f(diagonal);
                });
            }
        }
    }
}
