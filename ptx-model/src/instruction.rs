//! Instructions of PTX, as far as Clang writes them for this repository's kernels, decoded.
//!
//! Source: NVIDIA, Parallel Thread Execution ISA, chapter 9. A register of 32 bits is kept in a word of 64
//! with zeros above it, a double as its bits, a predicate as one bit for each lane of a warp.

/// A row of values of a warp: a register, or a constant that the program names.
pub(crate) type Row = u32;
/// A predicate of a warp.
pub(crate) type Predicate = u32;

/// One instruction.
#[derive(Debug, Clone)]
pub(crate) struct Instruction {
    /// The predicate under which lanes take part, and whether they do where it is false.
    pub(crate) guard: Option<(Predicate, bool)>,
    pub(crate) op: Op,
    pub(crate) class: Class,
    /// Line of the text, for faults.
    pub(crate) line: u32,
}

/// Bits of the operands of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bits {
    B32,
    B64,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Special(Row, Special),
    Unary(Unary, Row, Row),
    Binary(Binary, Row, [Row; 2]),
    Ternary(Ternary, Row, [Row; 3]),
    Compare(Compare, Predicate, [Row; 2]),
    /// Whether the predicate holds: the first, else the second.
    Select(Row, [Row; 2], Predicate),
    Logic(Logic, Predicate, [Predicate; 2]),
    /// A predicate that is the same for all lanes.
    Constant(Predicate, bool),
    Load(Access),
    Store(Access),
    Branch(usize),
    /// All items of the group have come here before one goes on.
    Barrier,
    Return,
}

/// Memory that an item sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Param,
    Global,
    Shared,
    Local,
    /// Global memory, or local memory by an address with [`LOCAL`].
    Generic,
}

/// What generic addresses of local memory have.
pub(crate) const LOCAL: u64 = 1 << 63;

/// One to four values beside each other in memory.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) space: Space,
    /// Of one value.
    pub(crate) bytes: usize,
    pub(crate) values: Vec<Row>,
    pub(crate) address: Row,
    pub(crate) offset: u64,
}

/// What an item knows of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    Item(usize),
    Items(usize),
    Group(usize),
    Groups(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Move,
    Not(Bits),
    Negate(Bits),
    Absolute64,
    Ones64,
    LeadingZeros64,
    Reverse32,
    NegateDouble,
    AbsoluteDouble,
    /// The low 32 bits.
    Low,
    /// 32 bits with their sign to 64.
    SignExtend,
    ToDoubleSigned,
    ToDouble,
    /// Towards zero.
    FromDoubleSigned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add(Bits),
    Subtract(Bits),
    Multiply(Bits),
    MultiplyHigh64,
    MultiplyHigh32,
    /// 32 bits times 32 to 64.
    MultiplyWide,
    MultiplyWideSigned,
    Minimum,
    Maximum,
    MinimumSigned(Bits),
    MaximumSigned(Bits),
    Divide,
    Remainder,
    And,
    Or,
    Xor,
    ShiftLeft(Bits),
    ShiftRight(Bits),
    ShiftRightSigned(Bits),
    AddDouble,
    SubtractDouble,
    MultiplyDouble,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ternary {
    /// The low bits of a product, and a sum.
    MultiplyAdd(Bits),
    MultiplyWideAdd,
    FusedDouble,
    /// Bits of the first from the second, as many as the third.
    Field32,
    /// The high half of two words moved left.
    Funnel32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unsigned,
    Signed(Bits),
    Double,
}

/// A comparison of values of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compare(pub(crate) Order, pub(crate) Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
    Xor,
    /// Of the first.
    Not,
    /// The first.
    Move,
}

/// What instructions are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Integers, without products.
    Integer,
    /// Products of 32-bit words.
    Product32,
    /// Products of 64-bit words, which hardware makes of several of 32.
    Product64,
    Double,
    Global,
    Shared,
    Local,
    Branch,
    Barrier,
    /// Moves, parameters, places, predicates: free, or nearly.
    Other,
}

impl Class {
    pub(crate) const ALL: [(Self, &str); 10] = [
        (Self::Integer, "integer"),
        (Self::Product32, "product32"),
        (Self::Product64, "product64"),
        (Self::Double, "double"),
        (Self::Global, "global"),
        (Self::Shared, "shared"),
        (Self::Local, "local"),
        (Self::Branch, "branch"),
        (Self::Barrier, "barrier"),
        (Self::Other, "other"),
    ];
}

impl Op {
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Unary(unary, ..) => match unary {
                Unary::Move | Unary::Low => Class::Other,
                Unary::NegateDouble
                | Unary::AbsoluteDouble
                | Unary::ToDouble
                | Unary::ToDoubleSigned
                | Unary::FromDoubleSigned => Class::Double,
                _ => Class::Integer,
            },
            Self::Binary(binary, ..) => match binary {
                Binary::Multiply(Bits::B64) | Binary::MultiplyHigh64 => Class::Product64,
                Binary::Multiply(Bits::B32)
                | Binary::MultiplyHigh32
                | Binary::MultiplyWide
                | Binary::MultiplyWideSigned => Class::Product32,
                Binary::AddDouble | Binary::SubtractDouble | Binary::MultiplyDouble => {
                    Class::Double
                }
                _ => Class::Integer,
            },
            Self::Ternary(ternary, ..) => match ternary {
                Ternary::MultiplyAdd(Bits::B64) => Class::Product64,
                Ternary::MultiplyAdd(Bits::B32) | Ternary::MultiplyWideAdd => Class::Product32,
                Ternary::FusedDouble => Class::Double,
                Ternary::Field32 | Ternary::Funnel32 => Class::Integer,
            },
            Self::Compare(Compare(_, Kind::Double), ..) => Class::Double,
            Self::Compare(..) | Self::Select(..) => Class::Integer,
            Self::Load(access) | Self::Store(access) => match access.space {
                Space::Param => Class::Other,
                Space::Global => Class::Global,
                Space::Shared => Class::Shared,
                Space::Local | Space::Generic => Class::Local,
            },
            Self::Branch(_) | Self::Return => Class::Branch,
            Self::Barrier => Class::Barrier,
            Self::Special(..) | Self::Logic(..) | Self::Constant(..) => Class::Other,
        }
    }
}
