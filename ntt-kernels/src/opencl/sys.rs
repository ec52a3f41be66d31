//! The OpenCL calls of this crate: the only unsafe code of the device.
//!
//! Handles are released on drop. A queue is used by one thread at a time, because setting the
//! arguments of a kernel is the one OpenCL call that is not thread-safe; [`Queue`] therefore needs
//! `&mut` for launches.

#![allow(unsafe_code)]

use std::{
    fmt,
    mem::{ManuallyDrop, size_of_val},
    ptr,
    sync::{Arc, Mutex, PoisonError},
};

use opencl3::{
    command_queue::CommandQueue,
    context::Context,
    device::{
        CL_DEVICE_TYPE_ALL, CL_DEVICE_TYPE_CPU, CL_DEVICE_TYPE_GPU, CL_FP_FMA,
        CL_FP_ROUND_TO_NEAREST, Device,
    },
    error_codes::ClError,
    kernel::Kernel as ClKernel,
    memory::{
        Buffer, CL_MEM_COPY_HOST_PTR, CL_MEM_READ_ONLY, CL_MEM_READ_WRITE, ClMem, cl_mem_flags,
    },
    platform::get_platforms,
    program::Program as ClProgram,
    types::{CL_TRUE, cl_mem},
};

/// An OpenCL call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) call: &'static str,
    pub(super) code: i32,
}

impl Fault {
    fn of(call: &'static str) -> impl Fn(ClError) -> Self {
        move |error| Self {
            call,
            code: error.0,
        }
    }

    /// Whether the device has no memory left: allocation failure, out of resources, out of host
    /// memory.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self.code, -4 | -6)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} gave {} ({})",
            self.call,
            self.code,
            ClError(self.code)
        )
    }
}

/// What kind of chip a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chip {
    Cpu,
    Gpu,
    Other,
}

/// A device that a platform of this machine offers.
#[derive(Clone, Debug)]
pub(super) struct Found {
    device: Device,
    pub(super) platform: String,
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) chip: Chip,
    pub(super) units: usize,
    pub(super) memory_bytes: u64,
    pub(super) buffer_bytes: u64,
    pub(super) local_bytes: u64,
    pub(super) group_items: usize,
    /// Whether doubles are rounded to nearest and multiplied and added in one rounding.
    pub(super) exact_doubles: bool,
    /// Why it cannot run this crate's programs, if so.
    pub(super) unusable: Option<&'static str>,
}

/// Every device of every platform, in the order of the runtime.
///
/// # Errors
/// No runtime or no driver.
pub(super) fn find() -> Result<Vec<Found>, Fault> {
    // The one lock of the process, and no state: PoCL 3.1 sets its devices up on first use, and a
    // second thread that asks meanwhile reads them half made and crashes.
    static FIRST_USE: Mutex<()> = Mutex::new(());
    let _alone = FIRST_USE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    for platform in get_platforms().map_err(Fault::of("clGetPlatformIDs"))? {
        let platform_name = platform.name().unwrap_or_default();
        // A platform without devices says so with an error.
        for id in platform.get_devices(CL_DEVICE_TYPE_ALL).unwrap_or_default() {
            found.push(describe(Device::new(id), &platform_name)?);
        }
    }
    Ok(found)
}

/// Fused multiply-add, rounding to nearest.
const EXACT: u64 = CL_FP_FMA | CL_FP_ROUND_TO_NEAREST;

fn describe(device: Device, platform: &str) -> Result<Found, Fault> {
    let fault = Fault::of("clGetDeviceInfo");
    let kind = device.dev_type().map_err(&fault)?;
    let little = device.endian_little().map_err(&fault)?;
    let compiler = device.compiler_available().map_err(&fault)?;
    let available = device.available().map_err(&fault)?;
    Ok(Found {
        platform: platform.into(),
        name: device.name().map_err(&fault)?.trim().into(),
        driver: device.driver_version().map_err(&fault)?,
        chip: if kind & CL_DEVICE_TYPE_GPU != 0 {
            Chip::Gpu
        } else if kind & CL_DEVICE_TYPE_CPU != 0 {
            Chip::Cpu
        } else {
            Chip::Other
        },
        units: device.max_compute_units().map_err(&fault)? as usize,
        memory_bytes: device.global_mem_size().map_err(&fault)?,
        buffer_bytes: device.max_mem_alloc_size().map_err(&fault)?,
        local_bytes: device.local_mem_size().map_err(&fault)?,
        group_items: device.max_work_group_size().map_err(&fault)?,
        // A device without doubles may say so with an error.
        exact_doubles: device.double_fp_config().unwrap_or(0) & EXACT == EXACT,
        unusable: match (available, compiler, little) {
            (false, ..) => Some("a device that is available"),
            (_, false, _) => Some("a driver with a compiler"),
            (.., false) => Some("a little-endian device"),
            _ => None,
        },
        device,
    })
}

/// A device that has been opened.
pub(super) struct Session {
    device: Device,
    context: Context,
    /// Whether calls on queues fail, for tests of a lost device.
    #[cfg(test)]
    pub(super) lost: Arc<std::sync::atomic::AtomicBool>,
}

/// Programs that did not build.
pub(super) struct BuildFault {
    pub(super) fault: Fault,
    pub(super) log: String,
}

impl Session {
    pub(super) fn open(found: &Found) -> Result<Self, Fault> {
        let context = Context::from_device(&found.device).map_err(Fault::of("clCreateContext"))?;
        Ok(Self {
            device: found.device,
            context,
            #[cfg(test)]
            lost: Arc::default(),
        })
    }

    /// An in-order queue.
    pub(super) fn queue(&self) -> Result<Queue, Fault> {
        // SAFETY: the device is a member of the context, which was made from it.
        let queue = unsafe { CommandQueue::create(&self.context, self.device.id(), 0) };
        Ok(Queue {
            queue: queue.map_err(Fault::of("clCreateCommandQueue"))?,
            #[cfg(test)]
            lost: self.lost.clone(),
        })
    }

    pub(super) fn build(&self, source: &str, options: &str) -> Result<Program, BuildFault> {
        let without_log = |fault| BuildFault {
            fault,
            log: String::new(),
        };
        let mut program = ClProgram::create_from_source(&self.context, source)
            .map_err(Fault::of("clCreateProgramWithSource"))
            .map_err(without_log)?;
        match program.build(&[self.device.id()], options) {
            Ok(()) => Ok(Program(program)),
            Err(error) => Err(BuildFault {
                fault: Fault::of("clBuildProgram")(error),
                log: program.get_build_log(self.device.id()).unwrap_or_default(),
            }),
        }
    }

    /// A program from what [`Program::binary`] gave on the same device and driver; `None` when the
    /// driver does not take it.
    pub(super) fn load(&self, binary: &[u8], options: &str) -> Option<Program> {
        let devices = [self.device.id()];
        // SAFETY: the device is a member of the context. The driver checks the binary and refuses
        // what it did not make; the lengths are those of the slices.
        let program = unsafe { ClProgram::create_from_binary(&self.context, &devices, &[binary]) };
        let mut program = program.ok()?;
        program.build(&devices, options).ok()?;
        Some(Program(program))
    }

    /// Memory with unspecified contents.
    pub(super) fn memory(&self, bytes: usize) -> Result<Memory, Fault> {
        self.create(CL_MEM_READ_WRITE, bytes, ptr::null_mut())
    }

    /// Memory that holds a copy of `words`. Does not wait for a queue.
    pub(super) fn table<T: bytemuck::NoUninit>(&self, words: &[T]) -> Result<Memory, Fault> {
        let host = words.as_ptr().cast_mut().cast();
        let flags = CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR;
        self.create(flags, size_of_val(words), host)
    }

    fn create(
        &self,
        flags: cl_mem_flags,
        bytes: usize,
        host: *mut std::ffi::c_void,
    ) -> Result<Memory, Fault> {
        // SAFETY: `host` is null, or the flags say to copy `bytes` bytes from it during the call
        // and it points to as many initialised ones. `bytes` counts items of one byte.
        let buffer = unsafe { Buffer::<u8>::create(&self.context, flags, bytes, host) };
        let buffer = buffer.map_err(Fault::of("clCreateBuffer"))?;
        Ok(Memory(buffer, bytes))
    }
}

/// A built program.
pub(super) struct Program(ClProgram);

impl Program {
    pub(super) fn kernel(&self, name: &str) -> Result<Kernel, Fault> {
        let kernel = ClKernel::create(&self.0, name).map_err(Fault::of("clCreateKernel"))?;
        Ok(Kernel(kernel))
    }

    /// The driver's form of the program, for [`Session::load`].
    pub(super) fn binary(&self) -> Option<Vec<u8>> {
        let binary = self.0.get_binaries().ok()?.pop()?;
        (!binary.is_empty()).then_some(binary)
    }
}

/// One kernel of a program. Its arguments are state, so it is used by one queue only.
pub(super) struct Kernel(ClKernel);

/// Device memory.
pub(super) struct Memory(Buffer<u8>, usize);

impl Memory {
    pub(super) fn bytes(&self) -> usize {
        self.1
    }
}

/// Four words in the layout of `ulong4`.
#[repr(C, align(32))]
#[derive(Clone, Copy)]
pub(super) struct Words4(pub(super) [u64; 4]);

/// Eight words in the layout of `uint8`.
#[repr(C, align(32))]
#[derive(Clone, Copy)]
pub(super) struct Words8(pub(super) [u32; 8]);

/// An argument of a kernel.
pub(super) enum Arg<'a> {
    Memory(&'a Memory),
    Word(u32),
    Words4(Words4),
    Words8(Words8),
}

/// An in-order queue: commands run one after the other.
pub(super) struct Queue {
    queue: CommandQueue,
    #[cfg(test)]
    lost: Arc<std::sync::atomic::AtomicBool>,
}

impl Queue {
    /// Fails where a test has the device lost.
    #[inline]
    fn answers(&self, _call: &'static str) -> Result<(), Fault> {
        #[cfg(test)]
        if self.lost.load(std::sync::atomic::Ordering::Relaxed) {
            // What drivers give when a device is gone: out of resources.
            return Err(Fault {
                call: _call,
                code: -5,
            });
        }
        Ok(())
    }

    /// Queues a kernel.
    ///
    /// The caller guarantees that the arguments are those of the kernel's declaration, and that the
    /// kernel stays within its buffers for them.
    pub(super) fn launch(
        &mut self,
        kernel: &mut Kernel,
        args: &[Arg<'_>],
        global: [usize; 3],
        local: usize,
    ) -> Result<(), Fault> {
        self.answers("clEnqueueNDRangeKernel")?;
        let kernel = &kernel.0;
        for (i, arg) in args.iter().enumerate() {
            let i = i as u32;
            // SAFETY: the runtime checks the index and the size of the value against the kernel
            // and copies the value during the call. Memory handles are alive; the runtime keeps
            // memory until the commands that use it have run.
            let set = unsafe {
                match arg {
                    Arg::Memory(memory) => kernel.set_arg(i, &memory.0.get()),
                    Arg::Word(word) => kernel.set_arg(i, word),
                    Arg::Words4(words) => kernel.set_arg(i, words),
                    Arg::Words8(words) => kernel.set_arg(i, words),
                }
            };
            set.map_err(Fault::of("clSetKernelArg"))?;
        }
        let local = [local, 1, 1];
        // SAFETY: all arguments are set; the sizes have as many dimensions as is said, and live
        // until the call returns. Kernels index only within the windows of their arguments, which
        // the ring has checked against the buffers.
        let event = unsafe {
            self.queue.enqueue_nd_range_kernel(
                kernel.get(),
                3,
                ptr::null(),
                global.as_ptr(),
                local.as_ptr(),
                &[],
            )
        };
        event.map_err(Fault::of("clEnqueueNDRangeKernel"))?;
        Ok(())
    }

    /// Fills memory with zeros.
    pub(super) fn clear(&mut self, memory: &Memory) -> Result<(), Fault> {
        let mut alias = alias(memory);
        // SAFETY: the range is the whole buffer, and its size is a multiple of the pattern's.
        let event =
            unsafe { (self.queue).enqueue_fill_buffer(&mut alias, &[0u8], 0, memory.bytes(), &[]) };
        event.map_err(Fault::of("clEnqueueFillBuffer"))?;
        Ok(())
    }

    /// Copies host words to memory from word `start`; waits.
    pub(super) fn write(
        &mut self,
        memory: &Memory,
        start: usize,
        words: &[u64],
    ) -> Result<(), Fault> {
        assert!(
            8 * (start + words.len()) <= memory.bytes(),
            "a window is within its buffer"
        );
        self.answers("clEnqueueWriteBuffer")?;
        let mut alias = alias(memory);
        let bytes = bytemuck::cast_slice(words);
        // SAFETY: the range is within the buffer, as was just checked, and the call returns after
        // the host bytes have been read.
        let event = unsafe {
            (self.queue).enqueue_write_buffer(&mut alias, CL_TRUE, 8 * start, bytes, &[])
        };
        event.map_err(Fault::of("clEnqueueWriteBuffer"))?;
        Ok(())
    }

    /// Copies memory from word `start` to host words, after all earlier commands; waits.
    pub(super) fn read(
        &mut self,
        memory: &Memory,
        start: usize,
        words: &mut [u64],
    ) -> Result<(), Fault> {
        assert!(
            8 * (start + words.len()) <= memory.bytes(),
            "a window is within its buffer"
        );
        self.answers("clEnqueueReadBuffer")?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        // SAFETY: the range is within the buffer, as was just checked, and the call returns after
        // the host bytes have been written.
        let event =
            unsafe { (self.queue).enqueue_read_buffer(&memory.0, CL_TRUE, 8 * start, bytes, &[]) };
        event.map_err(Fault::of("clEnqueueReadBuffer"))?;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        self.answers("clFlush")?;
        self.queue.flush().map_err(Fault::of("clFlush"))
    }

    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.answers("clFinish")?;
        self.queue.finish().map_err(Fault::of("clFinish"))
    }
}

/// The same buffer object without ownership: OpenCL orders the accesses, and `opencl3` wants an
/// exclusive borrow only to write.
fn alias(memory: &Memory) -> ManuallyDrop<Buffer<u8>> {
    let raw: cl_mem = memory.0.get();
    ManuallyDrop::new(Buffer::new(raw))
}

/// What several rings share.
pub(super) type SharedSession = Arc<Session>;
