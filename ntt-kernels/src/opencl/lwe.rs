//! LWE ciphertexts between two blind rotations: exponents in one launch, key-switches in two.

use super::{
    memory::Buffer,
    programs::Source,
    ring::{OpenClRing, Place, State},
    rotation::only_limb,
    sys::{Arg, Words4},
    tables::table,
};
use crate::{
    error::Result,
    poly::{LWE_WORD_BITS, LweSwitchKey, View, ViewMut, lwe_width},
};

/// Ciphertexts that a work item switches together; `TOGETHER` of lwe.cl.
const TOGETHER: usize = 8;

/// The part of a device's memory that keys are kept in.
const KEPT_PART: u64 = 16;

impl OpenClRing {
    /// Exponents from small ciphertexts of `dimension` for steps of `group` key bits: `dst` has
    /// `words` words and a body to a ciphertext.
    pub(super) fn exponents(
        &self,
        state: &mut State,
        (dst, words): (&ViewMut, usize),
        (src, dimension): (&View, usize),
        group: usize,
    ) -> Result<()> {
        let (log_n, items) = (dst.log_n(), self.items(dst.n()));
        let (from, to) = (lwe_width(dimension, log_n), lwe_width(words, log_n));
        let mut args = Vec::from(Place::of(dst).args());
        args.extend(Place::of(src).args());
        let numbers = [dimension, group, from, to].map(|number| Arg::Word(number as u32));
        args.push(Arg::Word(only_limb(dst)));
        args.extend(numbers);
        args.push(Arg::Word(log_n));
        let kernel = (Source::Lwe { items }, "exponents");
        let range = [items, dst.batch() / to, 1];
        self.launch(state, kernel, args, range, items)
    }

    pub(super) fn lwe_key_switch(
        &self,
        state: &mut State,
        dst: &ViewMut,
        src: &View,
        key: &LweSwitchKey,
    ) -> Result<()> {
        let (n, log_n, items) = (dst.n(), dst.log_n(), self.items(dst.n()));
        let (source, target) = (key.source(), key.target());
        let (from, to) = (lwe_width(source, log_n), lwe_width(target, log_n));
        let count = dst.batch() / to;
        let padded = count.next_multiple_of(TOGETHER);
        let steps = source * key.digits().levels() as usize;
        // Words of 32 bits.
        let digits: Buffer = self.scratch(state, ((steps + 1) * padded).div_ceil(2))?;
        let m = self.spec.modulus(only_limb(src) as usize);
        let ratio = m.shoup(1 << LWE_WORD_BITS).quotient;

        let mut args = vec![Arg::Memory(digits.memory())];
        args.extend(Place::of(src).args());
        args.push(Arg::Word(only_limb(src)));
        args.push(Arg::Words4(Words4([m.value(), ratio, 0, 0])));
        let (base, levels) = (key.digits().base_log(), key.digits().levels());
        args.extend([source as u32, base, levels, from as u32].map(Arg::Word));
        args.extend([count as u32, padded as u32, log_n].map(Arg::Word));
        let kernel = (Source::Lwe { items }, "switch_digits");
        self.launch(state, kernel, args, [from * n, padded, 1], items)?;

        let mut keys = std::mem::take(&mut state.switch_keys);
        let most = self.shared.info.memory_bytes / KEPT_PART;
        let bytes = size_of_val(key.words()) as u64;
        let kept = keys.get(key, LweSwitchKey::is, (bytes, most), || {
            table(&self.shared, key.words())
        });
        let launched = kept.and_then(|key| {
            let mut args = Vec::from(Place::of(dst).args());
            args.extend([Arg::Memory(digits.memory()), Arg::Memory(key)]);
            args.push(Arg::Word(only_limb(dst)));
            args.extend([steps, target, to, count, padded].map(|number| Arg::Word(number as u32)));
            args.push(Arg::Word(log_n));
            let kernel = (Source::Lwe { items }, "switch_products");
            let range = [to * n, padded / TOGETHER, 1];
            self.launch(state, kernel, args, range, items)
        });
        state.switch_keys = keys;
        launched
    }
}
