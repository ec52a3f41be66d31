//! Integers of 8 bits as two digits of 4: any function by a tree of look-ups, sums with a carry.
//!
//! **A function.** For a byte `16 h + l`, sixteen tables of `l`, one for each `h`, are looked up in
//! one rotation of sixteen accumulators. Their results are packed into the table that the second
//! rotation, by `h`, starts from; so for each digit of the result.
//!
//! **A sum.** Two digits and a carry give `s` in `0..=31`: the whole torus. `s >= 16` is
//! negacyclic but for a constant, as a sign is, so it can be looked up without padding: once as the
//! carry, once as `16` times it, which is taken off `s`.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, PolyBuf, lwe_width};

use super::{
    encoding::{Encoding, Space},
    glwe::GlweBatch,
    look_up::{AT_ONCE as LOOK_UPS_AT_ONCE, LookUpTable, places},
    lwe::LweBatch,
    own_tables::OwnTable,
    packing::PackingKey,
    params::TfheParams,
    secret::TfheSecretKey,
    server_keys::TfheKeys,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    progress::{Progress, report},
    rlwe::{KeyId, SecureRandom},
};

/// Bits of a digit, and of the parameters.
const BITS: u32 = 4;

/// Values of a digit.
const BASE: i64 = 1 << BITS;

/// Bytes that are looked up together: their accumulators take `4 BASE` polynomials each.
const AT_ONCE: usize = 8;

/// Encrypted integers of 8 bits, `0..=255`, on a device.
pub struct EncryptedBytes {
    /// Digits in `0..=15`.
    low: LweBatch,
    high: LweBatch,
}

/// A function of bytes to bytes: for each digit of the result and each high digit the table of the
/// low digit.
pub struct ByteTable {
    session: TfheSession,
    /// GLWE ciphertexts without masks.
    tables: PolyBuf,
    /// `X^(-r/2) (1 + X + .. + X^(r - 1))` for runs of `r = N/16`, evaluation domain.
    run: PolyBuf,
}

fn check_bits(op: &'static str, params: &TfheParams) -> Result<()> {
    if params.message_bits() == BITS {
        return Ok(());
    }
    Err(Error::InvalidParams {
        op,
        what: "bytes are two digits of 4 bits",
        expected: "messages of 4 bits".into(),
        got: format!("{} bits", params.message_bits()),
        remedy: "choose a set of 4 bits by TfheParams::new",
    })
}

impl EncryptedBytes {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.low.len()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.low.is_empty()
    }

    /// Identity of the key.
    pub fn key_id(&self) -> KeyId {
        self.low.key_id
    }

    /// Bytes from their digits, low and high, in `0..=15`: results of look-ups, for instance.
    ///
    /// # Errors
    /// [`Error::Shape`] for digits that do not pair; [`Error::MessageRange`] for other ranges;
    /// [`Error::InvalidParams`] for messages of other than 4 bits; [`Error::ParamsMismatch`],
    /// [`Error::KeyMismatch`].
    pub fn from_digits(low: LweBatch, high: LweBatch) -> Result<Self> {
        let op = "EncryptedBytes::from_digits";
        check_bits(op, low.session.params())?;
        low.check_fits(op, &high)?;
        if low.len() != high.len() {
            let (expected, got) = (format!("{} digits", low.len()), high.len().to_string());
            return Err(Error::Shape { op, expected, got });
        }
        for digits in [&low, &high] {
            let (least, most) = digits.encoding.range;
            if least < 0 || most >= BASE {
                return Err(Error::MessageRange {
                    op,
                    what: "digits are",
                    expected: format!("0 to {}", BASE - 1),
                    got: format!("{least} to {most}"),
                });
            }
        }
        let whole = |digits: LweBatch| digits.within((0, BASE - 1));
        Ok(Self {
            low: whole(low),
            high: whole(high),
        })
    }

    /// The digits, low and high.
    pub fn digits(&self) -> (&LweBatch, &LweBatch) {
        (&self.low, &self.high)
    }

    fn slice(&self, first: usize, count: usize) -> Result<Self> {
        Ok(Self {
            low: self.low.slice(first, count)?,
            high: self.high.slice(first, count)?,
        })
    }

    /// Moves the bytes to a session of the same parameters on another device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn to_session(&self, session: &TfheSession) -> Result<Self> {
        Ok(Self {
            low: self.low.to_session(session)?,
            high: self.high.to_session(session)?,
        })
    }
}

impl ByteTable {
    /// The table of `f`.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] for messages of other than 4 bits; device failures.
    pub fn new(session: &TfheSession, f: impl Fn(u8) -> u8) -> Result<Self> {
        let (op, params) = ("ByteTable::new", session.params());
        check_bits(op, params)?;
        let (n, lanes, m) = (params.n(), params.lanes(), params.ring_spec().modulus(0));
        let space = Space::padded(params);
        let mut words = Vec::with_capacity(2 * BASE as usize * lanes * n);
        for digit in 0..2 {
            for high in 0..BASE {
                let of = |low: i64| {
                    let result = i64::from(f((BASE * high + low) as u8));
                    result >> (BITS * digit) & (BASE - 1)
                };
                let results: Vec<i64> = (0..BASE).map(of).collect();
                words.resize(words.len() + (lanes - 1) * n, 0);
                let entries = places(params, &results, 0);
                words.extend(entries.into_iter().map(|v| space.encode(params, v)));
            }
        }
        let shape = session.shape(words.len() / n);
        let tables = session.ring().upload(shape, Domain::Coeff, &words)?;
        let ones: Vec<i64> = std::iter::once(1)
            .chain(std::iter::repeat_n(0, 15))
            .collect();
        let run = places(params, &ones, 0);
        let run: Vec<u64> = run.into_iter().map(|v| m.from_i64(v)).collect();
        let mut run = session
            .ring()
            .upload(session.shape(1), Domain::Coeff, &run)?;
        session.ring().ntt(&mut run)?;
        Ok(Self {
            session: session.clone(),
            tables,
            run,
        })
    }
}

impl TfheSecretKey {
    /// Encrypts bytes, two ciphertexts each, with randomness of the operating system.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] for messages of other than 4 bits; [`Error::Shape`] for no bytes;
    /// [`Error::Randomness`].
    pub fn encrypt_bytes(&self, bytes: &[u8]) -> Result<EncryptedBytes> {
        self.encrypt_bytes_with(bytes, &mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source.
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt_bytes`].
    pub fn encrypt_bytes_with(
        &self,
        bytes: &[u8],
        random: &mut SecureRandom,
    ) -> Result<EncryptedBytes> {
        check_bits("TfheSecretKey::encrypt_bytes", self.session().params())?;
        let mut digits = |shift: u32| {
            let of = |&byte: &u8| i64::from(byte) >> shift & (BASE - 1);
            let digits = zeroize::Zeroizing::new(bytes.iter().map(of).collect::<Vec<_>>());
            self.encrypt_with(&digits, 0..=BASE - 1, random)
        };
        Ok(EncryptedBytes {
            low: digits(0)?,
            high: digits(BITS)?,
        })
    }

    /// Decrypts bytes.
    ///
    /// # Errors
    /// As [`TfheSecretKey::decrypt`].
    pub fn decrypt_bytes(&self, bytes: &EncryptedBytes) -> Result<Vec<u8>> {
        let (low, high) = (self.decrypt(&bytes.low)?, self.decrypt(&bytes.high)?);
        let digits = low.iter().zip(&high);
        Ok(digits.map(|(l, h)| (l + BASE * h) as u8).collect())
    }
}

impl TfheKeys {
    /// `f` of every byte: 34 rotations each, in two steps. `progress` is called with the number of
    /// bytes that are done. Nothing moves to the device or from it.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::Precision`] for digits with too
    /// much noise ([`TfheKeys::refresh_bytes`] takes it off); [`Error::Cancelled`]; device
    /// failures.
    ///
    /// # Reference
    /// The tree is that of \[GBA21\].
    pub fn look_up_bytes(
        &self,
        packing: &PackingKey,
        bytes: &EncryptedBytes,
        table: &ByteTable,
        progress: &mut Progress<'_>,
    ) -> Result<EncryptedBytes> {
        let (op, session) = ("TfheKeys::look_up_bytes", self.session());
        session.check_params(op, table.session.params())?;
        session.check_params(op, packing.session().params())?;
        session.check_params(op, bytes.low.session.params())?;
        for got in [packing.key_id(), bytes.key_id()] {
            if got != self.key_id() {
                let (expected, got) = (self.key_id().to_string(), got.to_string());
                return Err(Error::KeyMismatch { op, expected, got });
            }
        }
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for first in (0..bytes.len()).step_by(AT_ONCE) {
            let count = AT_ONCE.min(bytes.len() - first);
            let some = [&bytes.low, &bytes.high].map(|digits| digits.slice(first, count));
            let [l, h] = some;
            // For each byte its two digits.
            let digits = self.byte_digits(packing, (&l?, &h?), table)?;
            low.push(digits.every(0, count, 2)?);
            high.push(digits.every(1, count, 2)?);
            report(op, progress, first + count, bytes.len())?;
        }
        let all = |parts: Vec<LweBatch>| LweBatch::concat(&parts.iter().collect::<Vec<_>>());
        Ok(EncryptedBytes {
            low: all(low)?,
            high: all(high)?,
        })
    }

    fn byte_digits(
        &self,
        packing: &PackingKey,
        (low, high): (&LweBatch, &LweBatch),
        table: &ByteTable,
    ) -> Result<LweBatch> {
        let (op, session) = ("TfheKeys::look_up_bytes", self.session());
        let (ring, params) = (session.ring(), session.params());
        let (lanes, noise, base) = (params.lanes(), params.noise(), BASE as usize);
        let outputs = |variance| Encoding {
            range: (0, BASE - 1),
            variance,
            space: Space::padded(params),
        };
        let first =
            self.rotate_tables(op, low, (&table.tables, 2 * base), outputs(noise.look_up()))?;
        // From byte, digit, place to place, byte, digit.
        let groups = 2 * low.len();
        let mut turned = ring.alloc(first.buf.shape(), Domain::Coeff)?;
        for place in 0..base {
            for lane in 0..lanes {
                ring.submit(Cmd::Copy {
                    dst: (turned.view_mut()).polys(place * groups * lanes + lane, groups, lanes)?,
                    src: (first.buf.view()).polys(place * lanes + lane, groups, base * lanes)?,
                })?;
            }
        }
        let mut packed = packing.pack_places(turned, base)?;
        ring.ntt(&mut packed)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Mul,
            dst: packed.view_mut(),
            a: None,
            b: Some(table.run.view()),
        })?;
        ring.intt(&mut packed)?;
        // An entry has its own error and those of a run of neighbours.
        let run = params.n() as f64 / BASE as f64;
        let variance = 2.0 * noise.look_up() + run * noise.packing();
        self.rotate_tables(op, high, (&packed, 2), outputs(variance))?
            .extract(0)
    }

    /// Rotates `each` tables for every ciphertext: those of `tables` in turn.
    fn rotate_tables(
        &self,
        op: &'static str,
        batch: &LweBatch,
        (tables, each): (&PolyBuf, usize),
        outputs: Encoding,
    ) -> Result<GlweBatch> {
        let (session, ring) = (self.session(), self.session().ring());
        let params = session.params();
        let small = self.key_switch(batch)?;
        self.check_encoding(op, &small.encoding, (0, BASE - 1))?;
        let exponents = self.exponents(&small)?;
        let width = lwe_width(params.rotation().exponents(), params.log_n());
        let count = batch.len() * each;
        let mut repeated = ring.alloc(session.shape(count * width), Domain::Coeff)?;
        for copy in 0..each {
            for poly in 0..width {
                let (first, stride) = (copy * width + poly, each * width);
                ring.submit(Cmd::Copy {
                    dst: repeated.view_mut().polys(first, batch.len(), stride)?,
                    src: exponents.view().polys(poly, batch.len(), width)?,
                })?;
            }
        }
        let mut acc = ring.alloc(session.shape(count * params.lanes()), Domain::Coeff)?;
        ring.submit(Cmd::BlindRotate {
            acc: acc.view_mut(),
            table: tables.view(),
            lwe: repeated.view(),
            key: self.bootstrap_view(),
            plan: params.rotation(),
        })?;
        Ok(GlweBatch {
            session: session.clone(),
            key_id: batch.key_id,
            buf: acc,
            encoding: outputs,
        })
    }

    /// `a + b + carry` modulo 256, byte by byte, and whether it was more than 255, in `0..=1`. Four
    /// look-ups each, in two steps; digits with too much noise are looked up first.
    ///
    /// # Errors
    /// [`Error::Shape`] for operands of different lengths; [`Error::MessageRange`] for a carry
    /// beyond `0..=1`; [`Error::Precision`] for a carry with too much noise;
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; device failures.
    pub fn add_bytes(
        &self,
        a: &EncryptedBytes,
        b: &EncryptedBytes,
        carry: Option<&LweBatch>,
    ) -> Result<(EncryptedBytes, LweBatch)> {
        let op = "TfheKeys::add_bytes";
        if let Some(carry) = carry {
            let (low, high) = carry.encoding.range;
            if low < 0 || high > 1 {
                return Err(Error::MessageRange {
                    op,
                    what: "a carry is",
                    expected: "0 to 1".into(),
                    got: format!("{low} to {high}"),
                });
            }
        }
        let (low, carry) = self.add_digits(op, &a.low, &b.low, carry)?;
        let (high, carry) = self.add_digits(op, &a.high, &b.high, Some(&carry))?;
        Ok((EncryptedBytes { low, high }, carry))
    }

    /// The same for long batches: `progress` is called with the number of bytes that are done, and
    /// can stop the work.
    ///
    /// # Errors
    /// As [`TfheKeys::add_bytes`]; [`Error::Cancelled`].
    pub fn add_bytes_with(
        &self,
        a: &EncryptedBytes,
        b: &EncryptedBytes,
        carry: Option<&LweBatch>,
        progress: &mut Progress<'_>,
    ) -> Result<(EncryptedBytes, LweBatch)> {
        let (op, total) = ("TfheKeys::add_bytes", a.len());
        let other = [b.len(), carry.map_or(total, LweBatch::len)];
        if let Some(got) = other.into_iter().find(|&got| got != total) {
            let (expected, got) = (format!("{total} bytes or carries"), got.to_string());
            return Err(Error::Shape { op, expected, got });
        }
        let (mut low, mut high, mut over) = (Vec::new(), Vec::new(), Vec::new());
        for first in (0..total).step_by(LOOK_UPS_AT_ONCE) {
            let count = LOOK_UPS_AT_ONCE.min(total - first);
            let carry = carry.map(|c| c.slice(first, count)).transpose()?;
            let [a, b] = [a, b].map(|bytes| bytes.slice(first, count));
            let (sum, more) = self.add_bytes(&a?, &b?, carry.as_ref())?;
            low.push(sum.low);
            high.push(sum.high);
            over.push(more);
            report(op, progress, first + count, total)?;
        }
        let all = |parts: Vec<LweBatch>| LweBatch::concat(&parts.iter().collect::<Vec<_>>());
        let (low, high) = (all(low)?, all(high)?);
        Ok((EncryptedBytes { low, high }, all(over)?))
    }

    /// The sum of two digits and a carry modulo 16, and its carry.
    fn add_digits(
        &self,
        op: &'static str,
        a: &LweBatch,
        b: &LweBatch,
        carry: Option<&LweBatch>,
    ) -> Result<(LweBatch, LweBatch)> {
        let (session, params) = (self.session(), self.session().params());
        session.check_params(op, a.session.params())?;
        let noise = params.noise();
        let sum = |a: &LweBatch, b: &LweBatch| -> Result<LweBatch> {
            let sum = a.unpadded()?.add(&b.unpadded()?)?;
            match carry {
                Some(carry) => sum.add(&carry.unpadded()?),
                None => Ok(sum),
            }
        };
        let mut s = sum(a, b)?;
        if noise.log2_failure_of(s.encoding.variance) > params.failure().log2() {
            s = sum(&self.refresh(a)?, &self.refresh(b)?)?;
        }
        // Whether s is 16 or more, times a step of the result: half a step, negacyclic, and half a
        // step more.
        let over = |step: i64| -> Result<LweBatch> {
            let table = self.own_table(OwnTable::Overflow(step), SUMS)?;
            let signs = self.look_up(&s, &table)?;
            let mut buf = session.ring().copy(&signs.buf.view())?;
            let (lanes, count) = (params.lanes(), signs.len());
            session.ring().submit(Cmd::OffsetLimbs {
                dst: buf.view_mut().polys(lanes - 1, count, lanes)?,
                src: None,
                consts: [halves(params, step)[1]].into(),
            })?;
            Ok(signs.with_buf(buf, signs.encoding))
        };
        let mut digit = s.sub(&over(BASE)?.unpadded()?.within((0, 0)))?;
        digit.encoding.space.unpadded = false;
        Ok((digit.within((0, BASE - 1)), over(1)?))
    }

    /// The same bytes with the noise of a look-up.
    ///
    /// # Errors
    /// As [`TfheKeys::look_up`].
    pub fn refresh_bytes(&self, bytes: &EncryptedBytes) -> Result<EncryptedBytes> {
        Ok(EncryptedBytes {
            low: self.refresh(&bytes.low)?,
            high: self.refresh(&bytes.high)?,
        })
    }

    fn refresh(&self, digits: &LweBatch) -> Result<LweBatch> {
        let table = self.own_table(OwnTable::Same, (0, BASE - 1))?;
        self.look_up(digits, &table)
    }
}

/// Sums of two digits and a carry.
const SUMS: (i64, i64) = (0, 2 * BASE - 1);

/// Minus half a step of results and half a step, as residues.
fn halves(params: &TfheParams, step: i64) -> [u64; 2] {
    let halves = Space {
        bits: BITS + 1,
        unpadded: true,
    };
    [-step, step].map(|half| halves.encode(params, half))
}

/// Of a sum of two digits and a carry: half of `step` for 16 or more, otherwise minus that, which is
/// negacyclic.
pub(super) fn overflow_table(session: &TfheSession, step: i64) -> Result<LookUpTable> {
    let params = session.params();
    let [less, more] = halves(params, step);
    let (n, run) = (params.n(), params.n() / BASE as usize);
    let mut body = vec![less; n];
    // Half a run before 0 and before 16: X^N = -1.
    body[n - run / 2..].fill(more);
    let encoding = Encoding {
        range: (0, step),
        variance: 0.0,
        space: Space::padded(params),
    };
    LookUpTable::from_body(session, &body, SUMS, encoding)
}

impl LweBatch {
    /// The same in a space without padding, for sums that take the whole torus.
    fn unpadded(&self) -> Result<Self> {
        let mut copy = self.slice(0, self.len())?;
        copy.encoding.space.unpadded = true;
        Ok(copy)
    }
}

impl fmt::Debug for EncryptedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params = self.low.session.params();
        write!(f, "EncryptedBytes({}, {params})", self.len())
    }
}

impl fmt::Debug for ByteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByteTable({:?})", self.session)
    }
}
