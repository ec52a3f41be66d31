//! From the text of a program to its kernels.

use std::collections::HashMap;

use crate::instruction::{
    Access, Binary, Bits, Compare, Instruction, Kind, LOCAL, Logic, Op, Order, Predicate, Row,
    Space, Special, Ternary, Unary,
};

/// A kernel, ready to run.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) params: Vec<Param>,
    pub(crate) code: Vec<Instruction>,
    /// Registers; the rows after them hold the constants.
    pub(crate) registers: usize,
    pub(crate) constants: Vec<u64>,
    pub(crate) predicates: usize,
    pub(crate) shared_bytes: usize,
    pub(crate) local_bytes: usize,
    /// Items of a group, as the source requires.
    pub(crate) group_items: Option<usize>,
}

/// A parameter, and where it is among the parameters' bytes.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) is_memory: bool,
    pub(crate) start: usize,
    pub(crate) bytes: usize,
}

/// Where a text is not understood.
#[derive(Debug)]
pub(crate) struct NotModelled(pub(crate) String);

impl NotModelled {
    fn at(line: usize, what: &str, text: &str) -> Self {
        Self(format!("line {line}: error: {what} not modelled: {text}"))
    }
}

type Parsed<T> = Result<T, NotModelled>;

/// The kernels of a program.
pub(crate) fn parse(text: &str) -> Parsed<Vec<Kernel>> {
    let mut kernels = Vec::new();
    let mut open: Option<Builder> = None;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let line = line.split("//").next().unwrap_or_default().trim();
        if let Some(name) = line.trim_start_matches(".visible ").strip_prefix(".entry ") {
            open = Some(Builder::new(name.trim_end_matches(['(', ')'])));
            continue;
        }
        let Some(builder) = &mut open else {
            let known = [".version", ".target", ".address_size"];
            if line.is_empty() || known.iter().any(|known| line.starts_with(known)) {
                continue;
            }
            return Err(NotModelled::at(number, "a directive", line));
        };
        if line == "}" {
            kernels.extend(open.take().map(Builder::finish).transpose()?);
        } else {
            builder.line(number, line)?;
        }
    }
    Ok(kernels)
}

/// A kernel whose text is being read.
struct Builder {
    kernel: Kernel,
    rows: HashMap<String, Row>,
    predicates: HashMap<String, Predicate>,
    constants: HashMap<u64, usize>,
    /// Addresses of parameters and variables.
    places: HashMap<String, u64>,
    labels: HashMap<String, usize>,
    /// Bits of numbers in the instruction that is being read.
    width: Bits,
    /// Branches by instruction and label.
    branches: Vec<(usize, String, usize)>,
}

/// Rows from here on are constants, until all registers are known.
const CONSTANTS: Row = 1 << 24;

impl Builder {
    fn new(name: &str) -> Self {
        Self {
            kernel: Kernel {
                name: name.into(),
                params: Vec::new(),
                code: Vec::new(),
                registers: 0,
                constants: Vec::new(),
                predicates: 0,
                shared_bytes: 0,
                local_bytes: 0,
                group_items: None,
            },
            rows: HashMap::new(),
            predicates: HashMap::new(),
            constants: HashMap::new(),
            places: HashMap::new(),
            labels: HashMap::new(),
            width: Bits::B64,
            branches: Vec::new(),
        }
    }

    fn line(&mut self, number: usize, line: &str) -> Parsed<()> {
        if let Some(rest) = line.strip_prefix(".reqntid ") {
            let sizes = rest.split(',').map(|size| size.trim().parse::<usize>());
            let items = sizes.collect::<Result<Vec<_>, _>>();
            let items = items.map_err(|_| NotModelled::at(number, "a size", line))?;
            self.kernel.group_items = Some(items.iter().product());
        } else if line.starts_with(".param ") {
            self.param(number, line)?;
        } else if line.starts_with(".shared ") || line.starts_with(".local ") {
            let (align, bytes, name) =
                variable(line).ok_or_else(|| NotModelled::at(number, "a variable", line))?;
            let all = if line.starts_with(".shared") {
                &mut self.kernel.shared_bytes
            } else {
                &mut self.kernel.local_bytes
            };
            let start = all.next_multiple_of(align);
            *all = start + bytes;
            self.places.insert(name.into(), start as u64);
        } else if let Some(label) = line.strip_suffix(':') {
            self.labels.insert(label.into(), self.kernel.code.len());
        } else if let Some(instruction) = line.strip_suffix(';') {
            if !instruction.starts_with('.') {
                self.instruction(number, instruction)?;
            } else if ![".reg ", ".pragma "]
                .iter()
                .any(|known| instruction.starts_with(known))
            {
                return Err(NotModelled::at(number, "a directive", line));
            }
        } else if !matches!(line, "" | "{" | ")" | "(") {
            return Err(NotModelled::at(number, "a line", line));
        }
        Ok(())
    }

    fn param(&mut self, number: usize, line: &str) -> Parsed<()> {
        let fault = || NotModelled::at(number, "a parameter", line);
        let line = line.trim_end_matches(',');
        let (align, bytes, name) = variable(line).ok_or_else(fault)?;
        let is_memory = line.contains(".ptr");
        if is_memory && !line.contains(".global") {
            return Err(fault());
        }
        let end = self.kernel.params.last().map_or(0, |p| p.start + p.bytes);
        let start = end.next_multiple_of(align);
        self.places.insert(name.into(), start as u64);
        self.kernel.params.push(Param {
            is_memory,
            start,
            bytes,
        });
        Ok(())
    }

    fn instruction(&mut self, number: usize, text: &str) -> Parsed<()> {
        let fault = || NotModelled::at(number, "an instruction", text);
        let mut rest = text.trim();
        let mut guard = None;
        if let Some(guarded) = rest.strip_prefix('@') {
            let (predicate, instruction) =
                guarded.split_once(char::is_whitespace).ok_or_else(fault)?;
            let name = predicate.trim_start_matches('!');
            guard = Some((self.predicate(name), predicate.starts_with('!')));
            rest = instruction.trim();
        }
        let (name, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let operands = split(operands);
        let parts: Vec<&str> = name.split('.').collect();
        let op = self.op(number, &parts, &operands).ok_or_else(fault)?;
        self.kernel.code.push(Instruction {
            guard,
            class: op.class(),
            op,
            line: number as u32,
        });
        Ok(())
    }

    fn op(&mut self, number: usize, parts: &[&str], operands: &[&str]) -> Option<Op> {
        let bits = |kind: &str| match kind {
            "b32" | "u32" | "s32" => Some(Bits::B32),
            "b64" | "u64" | "s64" => Some(Bits::B64),
            _ => None,
        };
        self.width = match parts {
            ["mad", "wide", _] => Bits::B64,
            [.., last] => bits(last).unwrap_or(Bits::B64),
            [] => return None,
        };
        Some(match parts {
            ["ret"] => Op::Return,
            ["bra", ..] => {
                let [label] = operands else { return None };
                let at = self.kernel.code.len();
                self.branches.push((at, (*label).into(), number));
                Op::Branch(usize::MAX)
            }
            ["bar", "sync"] if operands == ["0"] => Op::Barrier,
            ["ld", hints @ .., kind] => {
                Op::Load(self.access(hints, kind, operands[1], operands[0])?)
            }
            ["st", hints @ .., kind] => {
                Op::Store(self.access(hints, kind, operands[0], operands[1])?)
            }
            ["cvta", "local", "u64"] => {
                let [to, a] = self.rows(operands)?;
                Op::Binary(Binary::Or, to, [a, self.constant(LOCAL)])
            }
            ["setp", order, kind] => {
                let order = match *order {
                    "eq" => Order::Equal,
                    "ne" => Order::NotEqual,
                    "lt" | "lo" => Order::Less,
                    "le" | "ls" => Order::LessEqual,
                    "gt" | "hi" => Order::Greater,
                    "ge" | "hs" => Order::GreaterEqual,
                    _ => return None,
                };
                let kind = match *kind {
                    "f64" => Kind::Double,
                    "s32" => Kind::Signed(Bits::B32),
                    "s64" => Kind::Signed(Bits::B64),
                    _ => bits(kind).map(|_| Kind::Unsigned)?,
                };
                let to = self.predicate(operands[0]);
                let (a, b) = (self.row(operands[1])?, self.row(operands[2])?);
                Op::Compare(Compare(order, kind), to, [a, b])
            }
            ["selp", _] => {
                let [to, a, b] = self.rows(&operands[..3])?;
                Op::Select(to, [a, b], self.predicate(operands[3]))
            }
            ["mov", "pred"] if !operands[1].starts_with('%') => {
                let value = operands[1].parse::<i64>().ok()? != 0;
                Op::Constant(self.predicate(operands[0]), value)
            }
            [name, "pred"] => {
                let logic = match *name {
                    "and" => Logic::And,
                    "or" => Logic::Or,
                    "xor" => Logic::Xor,
                    "not" => Logic::Not,
                    "mov" => Logic::Move,
                    _ => return None,
                };
                let last = operands[operands.len() - 1];
                let [to, a, b] = [operands[0], operands[1], last].map(|name| self.predicate(name));
                Op::Logic(logic, to, [a, b])
            }
            ["mov", _] if special(operands[1]).is_some() => {
                Op::Special(self.row(operands[0])?, special(operands[1])?)
            }
            _ => match operands.len() {
                2 => {
                    let [to, a] = self.rows(operands)?;
                    Op::Unary(unary(parts)?, to, a)
                }
                3 => {
                    let [to, a, b] = self.rows(operands)?;
                    Op::Binary(binary(parts)?, to, [a, b])
                }
                4 => {
                    let [to, a, b, c] = self.rows(operands)?;
                    Op::Ternary(ternary(parts)?, to, [a, b, c])
                }
                _ => return None,
            },
        })
    }

    fn access(&mut self, hints: &[&str], kind: &str, place: &str, values: &str) -> Option<Access> {
        let (mut space, mut count) = (Space::Generic, 1);
        for hint in hints {
            match *hint {
                "param" => space = Space::Param,
                "global" => space = Space::Global,
                "shared" => space = Space::Shared,
                "local" => space = Space::Local,
                "v2" => count = 2,
                "v4" => count = 4,
                // A cache that may be used does not change what is read.
                "nc" => {}
                _ => return None,
            }
        }
        let bytes = kind[1..].parse::<usize>().ok()? / 8;
        if kind.starts_with('s') && bytes < 4 {
            return None;
        }
        let inside = values.trim_start_matches('{').trim_end_matches('}');
        let values: Option<Vec<Row>> = split(inside).iter().map(|name| self.row(name)).collect();
        let values = values.filter(|values| values.len() == count)?;
        let place = place.strip_prefix('[')?.strip_suffix(']')?;
        let (base, offset) = match place.rsplit_once('+') {
            Some((base, offset)) => (base, offset.parse::<i64>().ok()?),
            None => (place, 0),
        };
        Some(Access {
            space,
            bytes,
            values,
            address: self.row(base)?,
            offset: offset as u64,
        })
    }

    fn rows<const COUNT: usize>(&mut self, names: &[&str]) -> Option<[Row; COUNT]> {
        let rows: Option<Vec<Row>> = names.iter().map(|name| self.row(name)).collect();
        rows?.try_into().ok()
    }

    /// The row of a register, a number, or the address of a variable.
    fn row(&mut self, name: &str) -> Option<Row> {
        if name.starts_with('%') {
            if special(name).is_some() {
                return None;
            }
            let next = self.rows.len() as Row;
            return Some(*self.rows.entry(name.into()).or_insert(next));
        }
        let value = match self.places.get(name) {
            Some(place) => *place,
            None => match self.width {
                Bits::B32 => u64::from(number(name)? as u32),
                Bits::B64 => number(name)?,
            },
        };
        Some(self.constant(value))
    }

    fn constant(&mut self, value: u64) -> Row {
        let constants = &mut self.kernel.constants;
        let at = *self.constants.entry(value).or_insert_with(|| {
            constants.push(value);
            constants.len() - 1
        });
        CONSTANTS + at as Row
    }

    fn predicate(&mut self, name: &str) -> Predicate {
        let next = self.predicates.len() as Predicate;
        *self.predicates.entry(name.into()).or_insert(next)
    }

    fn finish(self) -> Parsed<Kernel> {
        let Self {
            mut kernel,
            rows,
            predicates,
            labels,
            branches,
            ..
        } = self;
        for (at, label, number) in branches {
            let target = labels.get(&label);
            let target = target.ok_or_else(|| NotModelled::at(number, "a label", &label))?;
            kernel.code[at].op = Op::Branch(*target);
        }
        kernel.registers = rows.len();
        kernel.predicates = predicates.len();
        let first = rows.len() as Row;
        for instruction in &mut kernel.code {
            instruction.op.each_row(|row| {
                if *row >= CONSTANTS {
                    *row = *row - CONSTANTS + first;
                }
            });
        }
        Ok(kernel)
    }
}

impl Op {
    fn each_row(&mut self, mut of: impl FnMut(&mut Row)) {
        match self {
            Self::Special(to, _) => of(to),
            Self::Unary(_, to, a) => [to, a].into_iter().for_each(of),
            Self::Binary(_, to, rows) | Self::Select(to, rows, _) => {
                of(to);
                rows.iter_mut().for_each(of);
            }
            Self::Ternary(_, to, rows) => {
                of(to);
                rows.iter_mut().for_each(of);
            }
            Self::Compare(_, _, rows) => rows.iter_mut().for_each(of),
            Self::Load(access) | Self::Store(access) => {
                of(&mut access.address);
                access.values.iter_mut().for_each(of);
            }
            Self::Logic(..)
            | Self::Constant(..)
            | Self::Branch(_)
            | Self::Barrier
            | Self::Return => {}
        }
    }
}

fn unary(parts: &[&str]) -> Option<Unary> {
    Some(match parts {
        ["mov", _] => Unary::Move,
        ["not", "b32"] => Unary::Not(Bits::B32),
        ["not", "b64"] => Unary::Not(Bits::B64),
        ["neg", "s32"] => Unary::Negate(Bits::B32),
        ["neg", "s64"] => Unary::Negate(Bits::B64),
        ["neg", "f64"] => Unary::NegateDouble,
        ["abs", "s64"] => Unary::Absolute64,
        ["abs", "f64"] => Unary::AbsoluteDouble,
        ["popc", "b64"] => Unary::Ones64,
        ["clz", "b64"] => Unary::LeadingZeros64,
        ["brev", "b32"] => Unary::Reverse32,
        ["cvt", "u64", "u32"] => Unary::Move,
        ["cvt", "u32", "u64"] => Unary::Low,
        ["cvt", "s64", "s32"] => Unary::SignExtend,
        ["cvt", "rn", "f64", "s64"] => Unary::ToDoubleSigned,
        ["cvt", "rn", "f64", "u64" | "u32"] => Unary::ToDouble,
        ["cvt", "rzi", "s64", "f64"] => Unary::FromDoubleSigned,
        _ => return None,
    })
}

fn binary(parts: &[&str]) -> Option<Binary> {
    let bits = match parts.last()?.get(1..)? {
        "32" => Bits::B32,
        "64" => Bits::B64,
        _ => return None,
    };
    let signed = parts.last()?.starts_with('s');
    Some(match parts {
        ["add", "rn", "f64"] => Binary::AddDouble,
        ["sub", "rn", "f64"] => Binary::SubtractDouble,
        ["mul", "rn", "f64"] => Binary::MultiplyDouble,
        [.., "f64"] => return None,
        ["add", _] => Binary::Add(bits),
        ["sub", _] => Binary::Subtract(bits),
        ["mul", "lo", _] => Binary::Multiply(bits),
        ["mul", "hi", "u64"] => Binary::MultiplyHigh64,
        ["mul", "hi", "u32"] => Binary::MultiplyHigh32,
        ["mul", "wide", "u32"] => Binary::MultiplyWide,
        ["mul", "wide", "s32"] => Binary::MultiplyWideSigned,
        ["min", _] if signed => Binary::MinimumSigned(bits),
        ["max", _] if signed => Binary::MaximumSigned(bits),
        ["min", _] => Binary::Minimum,
        ["max", _] => Binary::Maximum,
        ["div", "u32" | "u64"] => Binary::Divide,
        ["rem", "u32" | "u64"] => Binary::Remainder,
        ["and", _] => Binary::And,
        ["or", _] => Binary::Or,
        ["xor", _] => Binary::Xor,
        ["shl", _] => Binary::ShiftLeft(bits),
        ["shr", _] if signed => Binary::ShiftRightSigned(bits),
        ["shr", _] => Binary::ShiftRight(bits),
        _ => return None,
    })
}

fn ternary(parts: &[&str]) -> Option<Ternary> {
    Some(match parts {
        ["mad", "lo", "s32" | "u32"] => Ternary::MultiplyAdd(Bits::B32),
        ["mad", "lo", "s64" | "u64"] => Ternary::MultiplyAdd(Bits::B64),
        ["mad", "wide", "u32"] => Ternary::MultiplyWideAdd,
        ["fma", "rn", "f64"] => Ternary::FusedDouble,
        ["bfe", "u32"] => Ternary::Field32,
        ["shf", "l", "wrap", "b32"] => Ternary::Funnel32,
        _ => return None,
    })
}

fn special(name: &str) -> Option<Special> {
    let (name, axis) = name.strip_prefix('%')?.split_once('.')?;
    let axis = ["x", "y", "z"].iter().position(|known| *known == axis)?;
    Some(match name {
        "tid" => Special::Item(axis),
        "ntid" => Special::Items(axis),
        "ctaid" => Special::Group(axis),
        "nctaid" => Special::Groups(axis),
        _ => return None,
    })
}

fn number(text: &str) -> Option<u64> {
    if let Some(bits) = text.strip_prefix("0d") {
        return u64::from_str_radix(bits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let signed = text.parse::<i64>().map(|value| value as u64);
    signed.or_else(|_| text.parse::<u64>()).ok()
}

/// Alignment, size and name of a parameter or variable.
fn variable(line: &str) -> Option<(usize, usize, &str)> {
    let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
    let declared = *words.last()?;
    let size_of = |kind: &str| kind.get(1..)?.parse::<usize>().ok().map(|bits| bits / 8);
    let of_kind = (words.iter()).find_map(|word| size_of(word.strip_prefix('.')?))?;
    // Of the memory that a parameter points to, where it points.
    let align = words.iter().position(|word| *word == ".align");
    let align = align.and_then(|at| words.get(at + 1)?.parse::<usize>().ok());
    let align = align
        .filter(|_| !words.contains(&".ptr"))
        .unwrap_or(of_kind);
    match declared.split_once('[') {
        Some((name, count)) => {
            let count: usize = count.trim_end_matches(']').parse().ok()?;
            Some((align, of_kind * count, name))
        }
        None => Some((align, of_kind, declared)),
    }
}

/// Operands, of which some are lists.
fn split(operands: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0);
    for (at, char) in operands.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(operands[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = operands[start..].trim();
    parts.extend((!last.is_empty()).then_some(last));
    parts
}
