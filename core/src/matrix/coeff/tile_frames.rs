//! In which order and with which factors the elements of tiles lie in their slots.

use std::f64::consts::PI;

use ringloom_ntt::host_fft::Complex64;

/// The frames of tiles.
///
/// Automorphisms that rotate slots also move the elements of a polynomial: with `Y = X^d`, slot `s` is the value
/// `y` of `Y` at `exp(i pi 5^s / m)`, `m = N / d`, and `X -> X^k` takes `X^j` to `X^j' Y^q`, `j k = j' + d q`. What a rotation
/// brings from slot 0 to slot `s` is therefore element `j` at `j'`, times `y^q`, for `k = 5^-s`. A tile *in its
/// frame* lies in slot `s` as if it had been brought there from slot 0. Any further rotation leaves it in the
/// frame of the slot where it arrives, so tiles move like numbers do.
///
/// Products of matrices do not notice: elements of a right side are its columns, and `U (V F) = (U V) F` for the
/// matrix `F` of one slot; those of a left side are its rows.
pub(super) struct Frames {
    size: usize,
    /// Slot by slot, for every place the element there and its factor.
    places: Vec<(usize, Complex64)>,
}

impl Frames {
    /// Of tiles of `size` elements in this many slots.
    pub(super) fn new(size: usize, slots: usize) -> Self {
        // 2 m, and 2 N.
        let (order, two_n) = (4 * slots, 4 * slots * size);
        let mut places = vec![(0, Complex64::ZERO); slots * size];
        // 5^-1 modulo 2 N, a power of two: 5 * inverse = 1.
        let inverse = (0..two_n.ilog2()).fold(1usize, |x, _| {
            x.wrapping_mul(2usize.wrapping_sub(x.wrapping_mul(5))) & (two_n - 1)
        });
        let (mut galois, mut five) = (1, 1);
        for of_slot in places.chunks_exact_mut(size) {
            for j in 0..size {
                let exponent = (j * galois) & (two_n - 1);
                let turn = (exponent / size * five) & (order - 1);
                let angle = 2.0 * PI * turn as f64 / order as f64;
                of_slot[exponent % size] = (j, Complex64::new(angle.cos(), angle.sin()));
            }
            galois = (galois * inverse) & (two_n - 1);
            five = (five * 5) & (order - 1);
        }
        Self { size, places }
    }

    /// Which element is at a place of a slot, and its factor.
    pub(super) fn at(&self, slot: usize, place: usize) -> (usize, Complex64) {
        self.places[slot * self.size + place]
    }

    /// Where an element is in a slot, and its factor.
    pub(super) fn find(&self, slot: usize, element: usize) -> (usize, Complex64) {
        let of_slot = &self.places[slot * self.size..][..self.size];
        let place = of_slot.iter().position(|(j, _)| *j == element);
        let place = place.expect("every element of a tile has a place");
        (place, of_slot[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slot 0 is as it is; in every slot each element has one place; factors have absolute value 1.
    #[test]
    fn frames_are_permutations() {
        for (size, slots) in [(1, 8), (4, 1), (4, 4), (8, 2), (2, 16)] {
            let frames = Frames::new(size, slots);
            for slot in 0..slots {
                for element in 0..size {
                    let (place, factor) = frames.find(slot, element);
                    assert_eq!(frames.at(slot, place), (element, factor));
                    assert!((factor.abs() - 1.0).abs() < 1e-12);
                    if slot == 0 || size == 1 {
                        assert_eq!((place, factor), (element, Complex64::ONE));
                    }
                }
            }
        }
    }
}
