//! A ring on the CPU: dispatch of commands to generic code over the kernels.

use std::sync::Arc;

use super::{
    buffer::{self, Buffer, Locked, Operand},
    kernel::LimbKernel,
    key_switch::MOST_SWITCH_WORKERS,
    memory::Memory,
    packed::{PackedBuffer, PackedLayout},
    permute::Permutations,
    tables::LimbTables,
    workers::{NTT_WORD, WORD, Workers},
};
use crate::{
    arith::Modulus,
    device::RingBackend,
    error::{Error, Result},
    poly::{BufClass, Cmd, CmdKind, Factors, RawBuf, RingSpec, Role, Shape, View, ViewMut},
};

/// One ring with the kernels of one instruction set.
///
/// Prepared operands are packed, as the kernels like it: commands read keys and diagonals limb by
/// limb, each word once, and wait for the memory.
pub(super) struct CpuRing<K> {
    pub(super) kernel: K,
    pub(super) workers: Workers,
    pub(super) memory: Arc<Memory>,
    pub(super) permutations: Permutations,
    tables: Vec<LimbTables>,
}

impl<K: LimbKernel> CpuRing<K> {
    /// Derives the twiddles of every limb.
    ///
    /// # Errors
    /// Those of [`LimbTables::new`].
    pub(super) fn new(kernel: K, workers: Workers, spec: &RingSpec) -> Result<Self> {
        let mut made: Vec<Option<Result<LimbTables>>> =
            spec.moduli().iter().map(|_| None).collect();
        let tasks: Vec<_> = made.iter_mut().zip(spec.moduli()).collect();
        // Two divisions for every twiddle.
        workers.run(tasks, 128 << spec.log_n(), |(slot, modulus)| {
            *slot = Some(LimbTables::new(*modulus, spec.log_n()));
        });
        let tables = made.into_iter().map(|t| t.expect("every task has run"));
        Ok(Self {
            kernel,
            workers,
            memory: Arc::default(),
            permutations: Permutations::default(),
            tables: tables.collect::<Result<_>>()?,
        })
    }

    pub(super) fn modulus(&self, limb: usize) -> &Modulus {
        self.tables[limb].modulus()
    }

    pub(super) fn tables(&self, limb: usize) -> &LimbTables {
        &self.tables[limb]
    }

    pub(super) fn forward(&self, limb: usize, words: &mut [u64]) {
        self.kernel.ntt_forward(&self.tables[limb], words);
    }

    pub(super) fn inverse(&self, limb: usize, words: &mut [u64]) {
        self.kernel.ntt_inverse(&self.tables[limb], words);
    }

    fn ntt(&self, buf: &ViewMut, inverse: bool) {
        let mut locked = Locked::new(buf, []);
        let rows = buffer::rows(locked.split().0, buf);
        (self.workers).run_of(buf.class(), rows, NTT_WORD * buf.n(), |row| {
            if inverse {
                self.inverse(row.limb, row.words);
            } else {
                self.forward(row.limb, row.words);
            }
        });
    }

    /// Copies between a window and words in canonical order, row by row.
    fn copy_rows(&self, src: Operand<'_>, view: &View, words: &mut [u64]) {
        let limbs = view.limbs();
        let rows: Vec<_> = (words.chunks_exact_mut(view.n()))
            .zip((0..view.batch()).flat_map(|poly| limbs.iter().map(move |limb| (poly, limb))))
            .collect();
        self.workers
            .run(rows, WORD * view.n(), |(row, (poly, limb))| {
                row.copy_from_slice(src.row(poly, limb));
            });
    }
}

impl<K: LimbKernel> RingBackend for CpuRing<K> {
    fn supports(&self, kind: CmdKind) -> bool {
        // Whole limbs are the tasks of a key-switch: too few for many workers.
        !matches!(kind, CmdKind::KeySwitch | CmdKind::HoistedRotate)
            || self.workers.parallelism() <= MOST_SWITCH_WORKERS
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        let words = (shape.batch)
            .checked_mul(shape.limbs.len() << shape.log_n)
            .ok_or(Error::OutOfMemory {
                op: "RingBackend::alloc",
                needed_bytes: u64::MAX,
                limit_bytes: isize::MAX as u64,
            })?;
        self.memory.take(words, class).map(Buffer::raw)
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        let mut locked = Locked::new(dst, []);
        let rows = buffer::rows(locked.split().0, dst);
        let tasks = rows.into_iter().zip(host.chunks_exact(dst.n())).collect();
        (self.workers).run_of(dst.class(), tasks, WORD * dst.n(), |(row, host)| {
            row.words.copy_from_slice(host);
        });
        Ok(())
    }

    fn embed(&self, dst: &ViewMut, values: &[i64], bits: u32) -> Result<bool> {
        self.embed_integers(dst, values, bits)?;
        Ok(true)
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        let words = buffer::read(src);
        self.copy_rows(Operand::new(&words, src), src, host);
        Ok(())
    }

    fn prepare(&self, src: &View, _role: Role) -> Result<RawBuf> {
        let shape = src.shape();
        let width = |limb| self.kernel.packed_width(self.modulus(limb));
        let layout = PackedLayout::new(&shape, width);
        let room = self.memory.take(layout.words(), BufClass::Public)?;
        let words = buffer::read(src);
        let rows = Operand::new(&words, src);
        let limbs: Vec<_> = shape.limbs.iter().collect();
        let row = |poly, rank: usize| rows.row(poly, limbs[rank]);
        Ok(PackedBuffer::raw(&self.workers, room, layout, &shape, row))
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        match cmd {
            Cmd::Copy { dst, src } => self.copy(dst, src),
            Cmd::Elementwise { op, dst, a, b } => {
                self.elementwise(*op, dst, a.as_ref(), b.as_ref());
            }
            Cmd::ScaleLimbs { dst, src, consts } => self.scale(dst, src.as_ref(), consts),
            Cmd::OffsetLimbs { dst, src, consts } => self.offset(dst, src.as_ref(), consts),
            Cmd::Ntt { buf, inverse } => self.ntt(buf, *inverse),
            Cmd::BaseConvert { dst, src, plan } => return self.base_convert(dst, src, plan),
            Cmd::Automorphism { dst, src, galois } => self.automorphism(dst, src, *galois),
            Cmd::Monomial { dst, src, power } => self.monomial(dst, src, power),
            Cmd::Digit {
                dst,
                src,
                plan,
                level,
            } => self.digit(dst, src, *plan, *level),
            Cmd::LweModSwitch {
                dst,
                src,
                dimension,
            } => self.lwe_mod_switch(dst, src, *dimension),
            Cmd::LweGroupSwitch { dst, src, plan } => self.lwe_group_switch(dst, src, plan),
            Cmd::LweKeySwitch { dst, src, key } => self.lwe_key_switch(dst, src, key),
            Cmd::BlindRotate {
                acc,
                table,
                lwe,
                key,
                plan,
            } => return self.blind_rotate(acc, table, lwe, key, plan),
            Cmd::ExpandSeed { dst, seed } => self.expand_seed(dst, seed),
            Cmd::InnerProduct {
                acc,
                digits,
                key,
                accumulate,
            } => self.inner_product(acc, digits, key, *accumulate),
            Cmd::DiagMulAcc {
                acc,
                terms,
                accumulate,
            } => self.diag_mul_acc(acc, terms, *accumulate),
            Cmd::Tensor { dst, a, b } => self.tensor(dst, a, b),
            Cmd::ModDown { dst, src, plan } => return self.mod_down(dst, src, plan),
            Cmd::Decompose { dst, src, plan } => return self.decompose(dst, src, plan),
            Cmd::ModMatMul {
                dst,
                left,
                src,
                lanes,
            } => match left {
                Factors::Integers(left) => self.mod_mat_mul(dst, left, src, *lanes),
                Factors::Images { polys, log_rows } => {
                    self.images_mat_mul(dst, (polys, *log_rows), src, *lanes);
                }
                Factors::Folded { matrix, log_fold } => {
                    self.folded_mat_mul(dst, (matrix, *log_fold), src, *lanes);
                }
            },
            Cmd::GadgetProduct {
                acc,
                src,
                key,
                plan,
                accumulate,
            } => return self.gadget_product(acc, src, key, plan, *accumulate),
            Cmd::KeySwitch { dst, switch } => return self.key_switch(dst, switch),
            Cmd::HoistedRotate { rotations, shared } => {
                return self.hoisted_rotate(rotations, shared);
            }
        }
        Ok(())
    }

    /// Nothing is ever pending: commands run when they are submitted.
    fn wait(&self) -> Result<()> {
        Ok(())
    }
}
