//! What OpenCL's handles stand for.

use std::{
    collections::BTreeMap,
    env,
    fs::OpenOptions,
    io::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use crate::{
    compile::compile,
    counts::Counts,
    execute::{Launch, run},
    memory::{Allocation, Global},
    parse::{self, Kernel},
};

/// An error code of OpenCL.
pub(crate) type Code = i32;

pub(crate) mod code {
    //! Codes by their names in OpenCL.
    use super::Code;

    pub(crate) const SUCCESS: Code = 0;
    pub(crate) const DEVICE_NOT_FOUND: Code = -1;
    pub(crate) const MEM_OBJECT_ALLOCATION_FAILURE: Code = -4;
    pub(crate) const OUT_OF_RESOURCES: Code = -5;
    pub(crate) const BUILD_PROGRAM_FAILURE: Code = -11;
    pub(crate) const FAILED_IN_WAIT_LIST: Code = -14;
    pub(crate) const MISALIGNED_SUB_BUFFER_OFFSET: Code = -13;
    pub(crate) const INVALID_VALUE: Code = -30;
    pub(crate) const INVALID_BINARY: Code = -42;
    pub(crate) const INVALID_PROGRAM_EXECUTABLE: Code = -45;
    pub(crate) const INVALID_KERNEL_NAME: Code = -46;
    pub(crate) const INVALID_ARG_INDEX: Code = -49;
    pub(crate) const INVALID_ARG_SIZE: Code = -51;
    pub(crate) const INVALID_KERNEL_ARGS: Code = -52;
    pub(crate) const INVALID_WORK_GROUP_SIZE: Code = -54;
    pub(crate) const INVALID_BUFFER_SIZE: Code = -61;
}

/// What the device is said to have: an H200's units, memory that a development machine has.
pub(crate) mod limits {
    pub(crate) const UNITS: u32 = 132;
    pub(crate) const MEMORY_BYTES: u64 = 8 << 30;
    pub(crate) const BUFFER_BYTES: u64 = MEMORY_BYTES / 4;
    pub(crate) const SHARED_BYTES: u64 = 48 << 10;
    pub(crate) const GROUP_ITEMS: usize = 1024;
    /// What the first bytes of sub-buffers are multiples of.
    pub(crate) const ALIGN_BYTES: usize = 512;
}

/// Locks, whether or not another thread panicked meanwhile.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An opened device.
#[derive(Default)]
pub(crate) struct Context {
    allocated: AtomicU64,
    allocations: AtomicU64,
    launches: AtomicU32,
    /// By program and kernel.
    counts: Mutex<BTreeMap<(String, String), Counts>>,
}

impl Context {
    pub(crate) fn allocate(
        self: &Arc<Self>,
        bytes: usize,
        read_only: bool,
    ) -> Result<Memory, Code> {
        if bytes == 0 || bytes as u64 > limits::BUFFER_BYTES {
            return Err(code::INVALID_BUFFER_SIZE);
        }
        let before = self.allocated.fetch_add(bytes as u64, Ordering::Relaxed);
        let number = self.allocations.fetch_add(1, Ordering::Relaxed) + 1;
        if before + bytes as u64 > limits::MEMORY_BYTES {
            self.allocated.fetch_sub(bytes as u64, Ordering::Relaxed);
            return Err(code::MEM_OBJECT_ALLOCATION_FAILURE);
        }
        let whole = Whole {
            context: self.clone(),
            bytes,
            address: Allocation::address_of(number),
            allocation: Mutex::new(Allocation::new(number, bytes, read_only)),
        };
        Ok(Memory {
            whole: Arc::new(whole),
            start: 0,
            bytes,
        })
    }
}

impl Drop for Context {
    /// Appends the counts to the file that `RINGLOOM_PTX_COUNTS` names, an object a line.
    fn drop(&mut self) {
        let Some(file) = env::var_os("RINGLOOM_PTX_COUNTS") else {
            return;
        };
        let opened = OpenOptions::new().create(true).append(true).open(&file);
        let counts = self
            .counts
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let lines = counts.iter().map(|((program, kernel), counts)| {
            format!(
                "{{\"program\": \"{program}\", \"kernel\": \"{kernel}\", {}}}\n",
                counts.json()
            )
        });
        let text: String = lines.collect();
        if let Err(error) = opened.and_then(|mut file| file.write_all(text.as_bytes())) {
            eprintln!("PTX model: {}: {error}", file.display());
        }
    }
}

/// A buffer that is no part of another.
pub(crate) struct Whole {
    context: Arc<Context>,
    bytes: usize,
    address: u64,
    allocation: Mutex<Allocation>,
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.context
            .allocated
            .fetch_sub(self.bytes as u64, Ordering::Relaxed);
    }
}

/// A buffer or a part of one.
#[derive(Clone)]
pub(crate) struct Memory {
    whole: Arc<Whole>,
    start: usize,
    bytes: usize,
}

impl Memory {
    /// A sub-buffer.
    pub(crate) fn part(&self, start: usize, bytes: usize) -> Result<Self, Code> {
        if !start.is_multiple_of(limits::ALIGN_BYTES) {
            return Err(code::MISALIGNED_SUB_BUFFER_OFFSET);
        }
        self.range(start, bytes)
    }

    /// Some of its bytes.
    pub(crate) fn range(&self, start: usize, bytes: usize) -> Result<Self, Code> {
        if bytes == 0 || start.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            return Err(code::INVALID_VALUE);
        }
        Ok(Self {
            whole: self.whole.clone(),
            start: self.start + start,
            bytes,
        })
    }

    /// Hands its bytes to a function.
    pub(crate) fn with_bytes<T>(&self, of: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut allocation = lock(&self.whole.allocation);
        of(&mut allocation.bytes[self.start..self.start + self.bytes])
    }
}

/// A program: its source, and what was made of it.
pub(crate) struct Program {
    pub(crate) context: Arc<Context>,
    pub(crate) source: String,
    pub(crate) built: Mutex<Built>,
}

#[derive(Default)]
pub(crate) struct Built {
    pub(crate) ptx: String,
    pub(crate) log: String,
    pub(crate) kernels: Vec<Arc<Kernel>>,
}

impl Program {
    /// Of OpenCL C.
    pub(crate) fn of_source(context: Arc<Context>, source: String) -> Self {
        Self {
            context,
            source,
            built: Mutex::default(),
        }
    }

    /// Of PTX, which is what its binary is.
    pub(crate) fn of_ptx(context: Arc<Context>, ptx: String) -> Self {
        Self {
            context,
            source: String::new(),
            built: Mutex::new(Built {
                ptx,
                ..Built::default()
            }),
        }
    }

    pub(crate) fn build(&self, options: &str) -> Result<(), Code> {
        let mut built = lock(&self.built);
        if built.ptx.is_empty() {
            match compile(&self.source, options) {
                Ok(ptx) => built.ptx = format!("{}{ptx}", label_line(&self.source)),
                Err(log) => {
                    built.log = log;
                    return Err(code::BUILD_PROGRAM_FAILURE);
                }
            }
        }
        match parse::parse(&built.ptx) {
            Ok(kernels) => built.kernels = kernels.into_iter().map(Arc::new).collect(),
            Err(parse::NotModelled(log)) => {
                built.log = log;
                return Err(code::BUILD_PROGRAM_FAILURE);
            }
        }
        Ok(())
    }

    /// A kernel, with none of its arguments set.
    pub(crate) fn kernel(&self, name: &str) -> Result<Ready, Code> {
        let built = lock(&self.built);
        if built.kernels.is_empty() {
            return Err(code::INVALID_PROGRAM_EXECUTABLE);
        }
        let found = built.kernels.iter().find(|kernel| kernel.name == name);
        let kernel = found.ok_or(code::INVALID_KERNEL_NAME)?.clone();
        let label = built.ptx.lines().next().unwrap_or_default();
        Ok(Ready {
            context: self.context.clone(),
            program: label.trim_start_matches("// ").into(),
            ptx: built.ptx.as_str().into(),
            args: Mutex::new(vec![None; kernel.params.len()]),
            kernel,
        })
    }
}

/// A program's constants, by which it is told from others, as a comment before its PTX.
fn label_line(source: &str) -> String {
    let defines = source
        .lines()
        .map_while(|line| line.strip_prefix("#define "));
    let defines: Vec<String> = defines.map(|define| define.replacen(' ', "=", 1)).collect();
    let known = defines
        .iter()
        .filter(|define| !define.starts_with("ROUNDS"));
    format!("// {}\n", known.cloned().collect::<Vec<_>>().join(" "))
}

/// An argument of a kernel.
#[derive(Clone)]
pub(crate) enum Argument {
    Memory(Memory),
    Bytes(Vec<u8>),
}

/// A kernel and its arguments so far.
pub(crate) struct Ready {
    context: Arc<Context>,
    program: String,
    ptx: Arc<str>,
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) args: Mutex<Vec<Option<Argument>>>,
}

impl Ready {
    /// The kernel with its arguments as they are now.
    pub(crate) fn prepare(&self, global: [usize; 3], local: [usize; 3]) -> Result<Prepared, Code> {
        let kernel = &*self.kernel;
        let items: usize = local.iter().product();
        let divides =
            (0..3).all(|axis| local[axis] != 0 && global[axis].is_multiple_of(local[axis]));
        let required = kernel.group_items.unwrap_or(items);
        if !divides || items > limits::GROUP_ITEMS || items != required {
            return Err(code::INVALID_WORK_GROUP_SIZE);
        }
        if kernel.shared_bytes as u64 > limits::SHARED_BYTES {
            return Err(code::OUT_OF_RESOURCES);
        }
        let mut params = vec![0; kernel.params.last().map_or(0, |p| p.start + p.bytes)];
        let mut memories = Vec::new();
        for (param, arg) in kernel.params.iter().zip(lock(&self.args).iter()) {
            let place = &mut params[param.start..param.start + param.bytes];
            match arg.as_ref().ok_or(code::INVALID_KERNEL_ARGS)? {
                Argument::Bytes(bytes) => place.copy_from_slice(bytes),
                Argument::Memory(memory) => {
                    let address = memory.whole.address + memory.start as u64;
                    place.copy_from_slice(&address.to_le_bytes());
                    memories.push(memory.clone());
                }
            }
        }
        // Allocations in one order, in which they are locked.
        memories.sort_by_key(|memory| memory.whole.address);
        Ok(Prepared {
            context: self.context.clone(),
            program: self.program.clone(),
            ptx: self.ptx.clone(),
            kernel: self.kernel.clone(),
            params,
            memories,
            groups: std::array::from_fn(|axis| global[axis] / local[axis]),
            items: local,
        })
    }
}

/// A launch that is ready to run.
pub(crate) struct Prepared {
    context: Arc<Context>,
    program: String,
    ptx: Arc<str>,
    kernel: Arc<Kernel>,
    params: Vec<u8>,
    memories: Vec<Memory>,
    groups: [usize; 3],
    items: [usize; 3],
}

impl Prepared {
    pub(crate) fn run(&self) -> Result<(), Code> {
        let of_one = |a: &Memory, b: &Memory| Arc::ptr_eq(&a.whole, &b.whole);
        let parts = || self.memories.chunk_by(of_one);
        let mut locked: Vec<_> = parts()
            .map(|parts| lock(&parts[0].whole.allocation))
            .collect();
        let races = env::var_os("RINGLOOM_PTX_NO_RACES").is_none();
        let mut memory = Global::new(races);
        for (allocation, parts) in locked.iter_mut().zip(parts()) {
            memory.add(
                allocation,
                parts.iter().map(|part| (part.start, part.bytes)),
            );
        }
        let launch = Launch {
            kernel: &self.kernel,
            params: &self.params,
            groups: self.groups,
            items: self.items,
            number: self.context.launches.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let mut counts = Counts::default();
        let done = run(&launch, &mut memory, &mut counts);
        let key = (self.program.clone(), self.kernel.name.clone());
        lock(&self.context.counts)
            .entry(key)
            .or_default()
            .add(&counts);
        done.map_err(|fault| {
            let line = (fault.line as usize).checked_sub(1);
            let line = line.and_then(|line| self.ptx.lines().nth(line));
            eprintln!(
                "PTX model: kernel {} of [{}], group {}, item {}: {}\n  {}",
                self.kernel.name,
                self.program,
                fault.group,
                fault.item,
                fault.what,
                line.unwrap_or_default().trim()
            );
            code::OUT_OF_RESOURCES
        })
    }
}
