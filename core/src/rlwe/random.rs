//! Randomness: domain-separated ChaCha20 streams and constant-time samplers.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Pairs of bits in the centred binomial error distribution: variance `21/2`, sigma 3.24.
pub const BINOMIAL_PAIRS: u32 = 21;

/// A source of secret randomness. Each draw opens a ChaCha20 stream of its own, keyed by
/// BLAKE3 from the seed, the purpose and a counter, so that no two purposes share bits.
///
/// The seed and the stream states are wiped on drop.
pub struct SecureRandom {
    seed: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl SecureRandom {
    /// Seeded by the operating system.
    ///
    /// # Errors
    /// [`Error::Randomness`] when the system gives none.
    pub fn from_os() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|cause| Error::Randomness {
            op: "SecureRandom::from_os",
            cause: cause.to_string(),
        })?;
        Ok(Self { seed, counter: 0 })
    }

    /// Seeded by hand: reproducible, and so without any security.
    pub fn insecure_from_seed(seed: [u8; 32]) -> Self {
        Self {
            seed: Zeroizing::new(seed),
            counter: 0,
        }
    }

    /// The same draws again for the same secret material and public label.
    pub(crate) fn derived(context: &str, material: &[u8], label: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(material);
        hasher.update(label);
        Self {
            seed: Zeroizing::new(*hasher.finalize().as_bytes()),
            counter: 0,
        }
    }

    /// The draw with this number, whatever was drawn before.
    pub(crate) fn at(&self, counter: u64) -> Self {
        Self {
            seed: self.seed.clone(),
            counter,
        }
    }

    /// 32 fresh bytes, for public seeds and identities.
    pub fn bytes(&mut self, purpose: Purpose) -> [u8; 32] {
        let mut out = [0; 32];
        self.stream(purpose).fill_bytes(&mut out);
        out
    }

    /// `n` uniform ternary values. Constant time.
    pub(crate) fn ternary(&mut self, purpose: Purpose, n: usize) -> Zeroizing<Vec<i8>> {
        // floor(3 u / 2^64) for a uniform word: the bias is below 2^-62, no rejection needed.
        draw(&mut self.stream(purpose), n, |u| {
            let (high, low) = (u >> 32, u & u64::from(u32::MAX));
            ((3 * high + ((3 * low) >> 32)) >> 32) as i8 - 1
        })
    }

    /// `n` centred binomial errors of variance 21/2. Constant time.
    pub(crate) fn errors(&mut self, purpose: Purpose, n: usize) -> Zeroizing<Vec<i8>> {
        const MASK: u64 = (1 << BINOMIAL_PAIRS) - 1;
        draw(&mut self.stream(purpose), n, |word| {
            let (a, b) = (word & MASK, word >> 32 & MASK);
            a.count_ones() as i8 - b.count_ones() as i8
        })
    }

    /// `n` uniform bits. Constant time.
    pub(crate) fn bits(&mut self, purpose: Purpose, n: usize) -> Zeroizing<Vec<u8>> {
        let mut stream = self.stream(purpose);
        let mut bits = Zeroizing::new(vec![0; n]);
        stream.fill_bytes(&mut bits);
        bits.iter_mut().for_each(|b| *b &= 1);
        bits
    }

    /// `n` errors uniform in `-2^t..=2^t`, the two ends with half weight, modulo `2^32`; `t` is
    /// at most 30. Constant time.
    pub(crate) fn uniform_errors(
        &mut self,
        purpose: Purpose,
        t: u32,
        n: usize,
    ) -> Zeroizing<Vec<u32>> {
        let mut stream = self.stream(purpose);
        // Neighbours of t + 2 random bits share a value, except that each end has one.
        let draw = |_| {
            let wide = stream.next_u64() >> (62 - t);
            (wide.div_ceil(2) as u32).wrapping_sub(1 << t)
        };
        Zeroizing::new((0..n).map(draw).collect())
    }

    fn stream(&mut self, purpose: Purpose) -> ChaCha20Rng {
        let mut hasher = blake3::Hasher::new_derive_key(purpose.context());
        hasher.update(self.seed.as_ref());
        hasher.update(&self.counter.to_le_bytes());
        self.counter += 1;
        let key = Zeroizing::new(*hasher.finalize().as_bytes());
        ChaCha20Rng::from_seed(*key)
    }
}

/// `n` values, each from 64 bits of the stream, in blocks: a stream gives bytes faster than words.
fn draw(stream: &mut ChaCha20Rng, n: usize, value: impl Fn(u64) -> i8) -> Zeroizing<Vec<i8>> {
    const WORDS: usize = 512;
    let mut values = Zeroizing::new(vec![0; n]);
    let mut bytes = Zeroizing::new([[0; 8]; WORDS]);
    for values in values.chunks_mut(WORDS) {
        let bytes = &mut bytes[..values.len()];
        stream.fill_bytes(bytes.as_flattened_mut());
        for (v, bytes) in values.iter_mut().zip(bytes) {
            *v = value(u64::from_le_bytes(*bytes));
        }
    }
    values
}

impl std::fmt::Debug for SecureRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecureRandom(..)")
    }
}

/// What randomness is drawn for: the domain of its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Purpose {
    /// A secret key.
    SecretKey,
    /// The secrets of the rows of a matrix with one mask.
    RowSecret,
    /// The binary secret of small LWE ciphertexts.
    LweSecret,
    /// The public identity of a secret key.
    KeyId,
    /// The public half of keys.
    PublicSeed,
    /// Errors in keys.
    KeyError,
    /// The ephemeral secret of a public-key encryption.
    Ephemeral,
    /// Errors in ciphertexts.
    EncryptionError,
}

impl Purpose {
    const fn context(self) -> &'static str {
        match self {
            Self::SecretKey => "ringloom 2026 stream: secret key",
            Self::RowSecret => "ringloom 2026 stream: secrets of rows",
            Self::LweSecret => "ringloom 2026 stream: lwe secret",
            Self::KeyId => "ringloom 2026 stream: key id",
            Self::PublicSeed => "ringloom 2026 stream: public seed",
            Self::KeyError => "ringloom 2026 stream: key error",
            Self::Ephemeral => "ringloom 2026 stream: ephemeral secret",
            Self::EncryptionError => "ringloom 2026 stream: encryption error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[i8]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        (
            mean,
            values
                .iter()
                .map(|&v| (f64::from(v) - mean).powi(2))
                .sum::<f64>()
                / n,
        )
    }

    #[test]
    fn distributions_have_their_moments() {
        let n = 1 << 18;
        let mut random = SecureRandom::insecure_from_seed([7; 32]);
        // Standard errors: mean sqrt(var/n), variance var sqrt((kurtosis - 1)/n); six of them.
        let (mean, variance) = moments(&random.errors(Purpose::KeyError, n));
        assert!(mean.abs() < 6.0 * (10.5f64 / n as f64).sqrt(), "{mean}");
        assert!(
            (variance - 10.5).abs() < 6.0 * 10.5 * (2.0 / n as f64).sqrt(),
            "{variance}"
        );
        let secret = random.ternary(Purpose::SecretKey, n);
        let (mean, variance) = moments(&secret);
        assert!(mean.abs() < 6.0 * (0.67 / n as f64).sqrt(), "{mean}");
        assert!(
            (variance - 2.0 / 3.0).abs() < 6.0 * 0.47 / (n as f64).sqrt(),
            "{variance}"
        );
        assert!(secret.iter().all(|v| (-1..=1).contains(v)));
        let bits = random.bits(Purpose::LweSecret, n);
        let ones = bits.iter().map(|&b| f64::from(b)).sum::<f64>() / n as f64;
        assert!((ones - 0.5).abs() < 6.0 * 0.5 / (n as f64).sqrt(), "{ones}");
        assert!(bits.iter().all(|&b| b <= 1));
    }

    #[test]
    fn values_come_from_consecutive_words() {
        let mut random = SecureRandom::insecure_from_seed([9; 32]);
        let mut words = SecureRandom::insecure_from_seed([9; 32]).stream(Purpose::SecretKey);
        for value in random.ternary(Purpose::SecretKey, 2_000).iter() {
            let word = u128::from(words.next_u64());
            assert_eq!(*value, ((3 * word) >> 64) as i8 - 1);
        }
    }

    #[test]
    fn uniform_errors_fill_their_range() {
        let n = 1 << 16;
        let mut random = SecureRandom::insecure_from_seed([8; 32]);
        for t in [0, 3, 17, 30] {
            let errors = random.uniform_errors(Purpose::KeyError, t, n);
            let end = 1i64 << t;
            let errors: Vec<i64> = errors.iter().map(|&e| i64::from(e as i32)).collect();
            assert!(errors.iter().all(|e| e.abs() <= end), "{t}");
            let mean_square = errors.iter().map(|&e| (e as f64).powi(2)).sum::<f64>() / n as f64;
            let variance = (2.0 * (end as f64).powi(2) + 1.0) / 6.0;
            let bound = 6.0 * variance / (n as f64).sqrt();
            assert!((mean_square - variance).abs() < bound, "{t}: {mean_square}");
            if t == 3 {
                let ends = errors.iter().filter(|e| e.abs() == end).count() as f64;
                let expected = n as f64 / end as f64 / 2.0;
                assert!((ends - expected).abs() < 6.0 * expected.sqrt(), "{ends}");
            }
        }
    }

    #[test]
    fn streams_are_separate_and_reproducible() {
        let mut a = SecureRandom::insecure_from_seed([1; 32]);
        let mut b = SecureRandom::insecure_from_seed([1; 32]);
        let first = a.bytes(Purpose::PublicSeed);
        assert_eq!(first, b.bytes(Purpose::PublicSeed));
        assert_ne!(first, a.bytes(Purpose::PublicSeed));
        let mut c = SecureRandom::insecure_from_seed([1; 32]);
        assert_ne!(first, c.bytes(Purpose::KeyId));
        assert_eq!(format!("{c:?}"), "SecureRandom(..)");
    }
}
