//! Device-resident data and the windows that commands work on.

use std::{any::Any, fmt, ops::Deref, sync::Arc};

use super::{Domain, LimbSet, RingSpec, Shape};
use crate::error::{Error, Result};

/// A device's own buffer. Opaque to everybody else: only the device that made it looks inside.
///
/// Shared ownership, because commands are data: a recorded command keeps its buffers alive.
/// Exclusive access is held up one layer above, by `&mut PolyBuf` in the [`Ring`](crate::Ring).
pub type RawBuf = Arc<dyn Any + Send + Sync>;

/// How a device must treat the memory of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BufClass {
    /// Ciphertexts, keys, plaintext operands of the server: may be pooled and reused.
    Public,
    /// Secrets of the client: host CPU only, wiped on drop, before any reuse.
    Secret,
}

/// What a prepared operand is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A key-switch key: operand of [`Cmd::InnerProduct`](super::Cmd::InnerProduct).
    Key,
    /// One polynomial for a whole batch: an encoded plaintext, a row of a bootstrap key. Operand of
    /// [`Cmd::DiagMulAcc`](super::Cmd::DiagMulAcc) and [`Cmd::BlindRotate`](super::Cmd::BlindRotate).
    Diagonal,
}

/// Whether a buffer has the readable layout or a device-private one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Readable and writable.
    Plain,
    /// Write-only, in the device's favourite layout for a role.
    Prepared(Role),
}

/// An owned block of limbs on a device, with its shape, domain and ring.
///
/// Move-only: copying is a command. Made by [`Ring::alloc`](crate::Ring::alloc) and friends.
pub struct PolyBuf {
    pub(crate) raw: RawBuf,
    pub(crate) shape: Shape,
    pub(crate) domain: Domain,
    pub(crate) class: BufClass,
    pub(crate) owner: Owner,
}

/// A write-only operand in the device's favourite form: keys, encoded diagonals.
pub struct Prepared {
    pub(crate) raw: RawBuf,
    pub(crate) shape: Shape,
    pub(crate) role: Role,
    pub(crate) owner: Owner,
}

/// The ring instance a buffer belongs to, compared by address: two rings with one spec on two
/// devices are different owners.
#[derive(Clone)]
pub(crate) struct Owner(pub(crate) Arc<RingSpec>);

impl Owner {
    pub(crate) fn check(&self, op: &'static str, other: &Self) -> Result<()> {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ok(());
        }
        let (expected, mut got) = (self.0.id().to_string(), other.0.id().to_string());
        if expected == got {
            got.push_str(" on another device");
        }
        Err(Error::RingMismatch { op, expected, got })
    }
}

impl PolyBuf {
    /// Extent of the buffer.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Rows of the modulus table it holds.
    pub fn limbs(&self) -> LimbSet {
        self.shape.limbs
    }

    /// Domain of all its words.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// Whether it holds secrets.
    pub fn is_secret(&self) -> bool {
        self.class == BufClass::Secret
    }

    /// The whole buffer as an operand.
    pub fn view(&self) -> View {
        View {
            raw: self.raw.clone(),
            owner: self.owner.clone(),
            shape: self.shape,
            domain: self.domain,
            class: self.class,
            form: Form::Plain,
            first: 0,
            batch: self.shape.batch,
            stride: 1,
            limbs: self.shape.limbs,
        }
    }

    /// The whole buffer as a destination.
    pub fn view_mut(&mut self) -> ViewMut {
        ViewMut(self.view())
    }

    /// One polynomial of the batch as a destination.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`].
    pub fn poly_mut(&mut self, index: usize) -> Result<ViewMut> {
        Ok(ViewMut(self.poly(index)?))
    }

    /// One polynomial of the batch as an operand.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`].
    pub fn poly(&self, index: usize) -> Result<View> {
        self.view().polys(index, 1, 1)
    }
}

impl Prepared {
    /// Extent of the operand before preparation.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What it was prepared for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The whole operand.
    pub fn view(&self) -> View {
        View {
            raw: self.raw.clone(),
            owner: self.owner.clone(),
            shape: self.shape,
            domain: Domain::Eval,
            class: BufClass::Public,
            form: Form::Prepared(self.role),
            first: 0,
            batch: self.shape.batch,
            stride: 1,
            limbs: self.shape.limbs,
        }
    }
}

/// A window of a buffer: every operand of a command.
///
/// Polynomials `first, first + stride, ..` (`batch` of them), restricted to the rows `limbs`.
#[derive(Clone)]
pub struct View {
    raw: RawBuf,
    owner: Owner,
    shape: Shape,
    domain: Domain,
    class: BufClass,
    form: Form,
    first: usize,
    batch: usize,
    stride: usize,
    limbs: LimbSet,
}

impl View {
    /// Restricts the view to polynomials `first, first + stride, ..`, `count` of them.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when the view has no such polynomials.
    pub fn polys(mut self, first: usize, count: usize, stride: usize) -> Result<Self> {
        let fits = count > 0
            && stride > 0
            && (count - 1)
                .checked_mul(stride)
                .and_then(|s| s.checked_add(first))
                .is_some_and(|last| last < self.batch);
        if !fits {
            return Err(Error::ShapeMismatch {
                op: "View::polys",
                expected: format!("polynomials below {}", self.batch),
                got: format!("{count} from {first} with stride {stride}"),
            });
        }
        self.first += first * self.stride;
        self.stride *= stride;
        self.batch = count;
        Ok(self)
    }

    /// Restricts the view to some of its limbs.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when one is missing or none is left.
    pub fn with_limbs(mut self, limbs: LimbSet) -> Result<Self> {
        if limbs.is_empty() || !self.limbs.contains_all(limbs) {
            return Err(Error::ShapeMismatch {
                op: "View::with_limbs",
                expected: format!("limbs within {}", self.limbs),
                got: limbs.to_string(),
            });
        }
        self.limbs = limbs;
        Ok(self)
    }

    /// The same words read in another domain: for lowerings that fill one window of a buffer in
    /// coefficients before the whole buffer is in evaluations.
    #[must_use]
    pub fn in_domain(mut self, domain: Domain) -> Self {
        self.domain = domain;
        self
    }

    /// The device buffer.
    pub fn raw(&self) -> &RawBuf {
        &self.raw
    }

    pub(super) fn map_raw(&mut self, f: &mut dyn FnMut(&RawBuf) -> RawBuf) {
        self.raw = f(&self.raw);
    }

    /// The same window of another ring's buffer of the same shape.
    pub(crate) fn moved(&self, owner: &Owner, raw: RawBuf) -> Self {
        let (owner, mut view) = (owner.clone(), self.clone());
        (view.raw, view.owner) = (raw, owner);
        view
    }

    /// The whole buffer behind the window.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn whole(&self) -> Self {
        let mut view = self.clone();
        (view.first, view.stride) = (0, 1);
        (view.batch, view.limbs) = (self.shape.batch, self.shape.limbs);
        view
    }

    /// How the memory behind the view must be treated.
    pub fn class(&self) -> BufClass {
        self.class
    }

    /// Domain of the words.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// Readable or prepared.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Number of polynomials.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Rows of the modulus table.
    pub fn limbs(&self) -> LimbSet {
        self.limbs
    }

    /// Logarithm of the ring degree.
    pub fn log_n(&self) -> u32 {
        self.shape.log_n
    }

    /// The ring degree.
    pub fn n(&self) -> usize {
        self.shape.n()
    }

    /// Extent of the window.
    pub fn shape(&self) -> Shape {
        Shape::new(self.batch, self.limbs, self.shape.log_n)
    }

    /// Extent of the whole buffer.
    pub fn buffer_shape(&self) -> Shape {
        self.shape
    }

    /// Index within the buffer of polynomial `index` of the window.
    pub fn buffer_poly(&self, index: usize) -> usize {
        debug_assert!(index < self.batch);
        self.first + index * self.stride
    }

    /// Position within the buffer, in canonical layout, of the first word of table row `limb` of
    /// polynomial `index`.
    pub fn offset(&self, index: usize, limb: usize) -> usize {
        debug_assert!(self.limbs.contains(limb));
        (self.buffer_poly(index) * self.shape.limbs.len() + self.shape.limbs.rank(limb))
            << self.shape.log_n
    }

    /// Whether two views are of one buffer.
    pub fn same_buffer(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.raw, &other.raw)
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }
}

/// A [`View`] that a command may write. Made from `&mut PolyBuf` only.
#[derive(Clone, Debug)]
pub struct ViewMut(View);

impl ViewMut {
    /// See [`View::polys`].
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`].
    pub fn polys(self, first: usize, count: usize, stride: usize) -> Result<Self> {
        self.0.polys(first, count, stride).map(Self)
    }

    /// See [`View::with_limbs`].
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`].
    pub fn with_limbs(self, limbs: LimbSet) -> Result<Self> {
        self.0.with_limbs(limbs).map(Self)
    }

    /// See [`View::in_domain`].
    #[must_use]
    pub fn in_domain(self, domain: Domain) -> Self {
        Self(self.0.in_domain(domain))
    }

    /// See [`View::moved`].
    pub(crate) fn moved(&self, owner: &Owner, raw: RawBuf) -> Self {
        Self(self.0.moved(owner, raw))
    }

    pub(super) fn inner(&mut self) -> &mut View {
        &mut self.0
    }
}

impl Deref for ViewMut {
    type Target = View;

    fn deref(&self) -> &View {
        &self.0
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({}, {})", self.shape(), self.domain.name())
    }
}

impl fmt::Debug for PolyBuf {
    /// Shape and domain only: contents are never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolyBuf({}, {})", self.shape, self.domain.name())
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared({}, {:?})", self.shape, self.role)
    }
}
