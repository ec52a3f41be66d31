//! The OpenCL calls of this crate: the only unsafe code of the device.
//!
//! Handles are released on drop. Setting the arguments of a kernel is the one OpenCL call that is not
//! thread-safe; [`Queue::launch`] therefore needs the kernel alone.

#![allow(unsafe_code)]

use std::{
    ffi::{CString, c_void},
    fmt,
    mem::size_of_val,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opencl3::{
    command_queue as queues,
    context::context as contexts,
    device::Device,
    error_codes::ClError,
    event as events, kernel as kernels,
    memory::{
        self as memories, CL_BUFFER_CREATE_TYPE_REGION, CL_MEM_COPY_HOST_PTR, CL_MEM_READ_ONLY,
        CL_MEM_READ_WRITE, cl_buffer_region, cl_mem_flags,
    },
    program as programs,
    types::{CL_TRUE, cl_event},
};

use super::found::Found;

/// An OpenCL call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) call: &'static str,
    pub(super) code: i32,
}

impl Fault {
    pub(super) fn of<E: Into<ClError>>(call: &'static str) -> impl Fn(E) -> Self {
        move |error| Self {
            call,
            code: error.into().0,
        }
    }

    /// Whether the device has no memory left: allocation failure, out of resources, out of host
    /// memory.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self.code, -4 | -6)
    }

    /// Whether less in memory may help: the above, and out of resources, which is also what drivers
    /// say of a device that is gone.
    pub(super) fn may_be_memory(&self) -> bool {
        matches!(self.code, -6..=-4)
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

/// What the runtime gave, released on drop. Releasing may fail, as on a device that is lost; nothing is
/// left to do then.
struct Handle {
    raw: *mut c_void,
    release: unsafe fn(*mut c_void) -> Result<(), i32>,
}

// SAFETY: the runtime's functions on handles may be called from any thread; the one exception, the
// arguments of a kernel, takes an exclusive borrow.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, of the kind that the function releases, and used no more.
        let _ = unsafe { (self.release)(self.raw) };
    }
}

/// A device that has been opened.
pub(super) struct Session {
    device: Device,
    context: Handle,
    /// What the first bytes of the slots of a slab are multiples of.
    align_bytes: usize,
    #[cfg(test)]
    pub(super) injected: Arc<Injected>,
}

/// What a test has calls on queues answer.
#[cfg(test)]
#[derive(Default)]
pub(super) struct Injected {
    /// Whether all fail.
    pub(super) lost: std::sync::atomic::AtomicBool,
    /// What the next launches fail with, the last one first; 0 lets one pass.
    pub(super) launches: Mutex<Vec<i32>>,
}

/// Programs that did not build.
pub(super) struct BuildFault {
    pub(super) fault: Fault,
    pub(super) log: String,
}

impl Session {
    pub(super) fn open(found: &Found) -> Result<Self, Fault> {
        let devices = [found.device.id()];
        let context = contexts::create_context(&devices, ptr::null(), None, ptr::null_mut());
        Ok(Self {
            device: found.device,
            context: Handle {
                raw: context.map_err(Fault::of("clCreateContext"))?,
                release: contexts::release_context,
            },
            align_bytes: found.align_bytes,
            #[cfg(test)]
            injected: Arc::default(),
        })
    }

    /// An in-order queue, which memory knows by this number.
    pub(super) fn queue(&self, number: usize) -> Result<Queue, Fault> {
        // SAFETY: the device is a member of the context, which was made from it.
        let queue = unsafe { queues::create_command_queue(self.context.raw, self.device.id(), 0) };
        Ok(Queue {
            handle: Handle {
                raw: queue.map_err(Fault::of("clCreateCommandQueue"))?,
                release: queues::release_command_queue,
            },
            number,
            latest: Mutex::default(),
            #[cfg(test)]
            injected: self.injected.clone(),
        })
    }

    pub(super) fn build(&self, source: &str, options: &str) -> Result<Program, BuildFault> {
        let without_log = |fault| BuildFault {
            fault,
            log: String::new(),
        };
        let program = programs::create_program_with_source(self.context.raw, &[source])
            .map_err(Fault::of("clCreateProgramWithSource"))
            .map_err(without_log)?;
        let program = Program::own(program);
        self.compile(&program, options)
            .map_err(|fault| BuildFault {
                fault,
                log: self.build_log(&program),
            })?;
        Ok(program)
    }

    fn compile(&self, program: &Program, options: &str) -> Result<(), Fault> {
        let options = CString::new(options).expect("options are written in this crate");
        let (devices, raw) = ([self.device.id()], program.0.raw);
        programs::build_program(raw, &devices, &options, None, ptr::null_mut())
            .map_err(Fault::of("clBuildProgram"))
    }

    fn build_log(&self, program: &Program) -> String {
        let log = programs::CL_PROGRAM_BUILD_LOG;
        let log = programs::get_program_build_info(program.0.raw, self.device.id(), log);
        log.map(String::from).unwrap_or_default()
    }

    /// A program from what [`Program::binary`] gave on the same device and driver; `None` when the
    /// driver does not take it.
    pub(super) fn load(&self, binary: &[u8], options: &str) -> Option<Program> {
        let (devices, context) = ([self.device.id()], self.context.raw);
        // SAFETY: the device is a member of the context. The driver checks the binary and refuses
        // what it did not make; the lengths are those of the slices.
        let program = unsafe { programs::create_program_with_binary(context, &devices, &[binary]) };
        let program = Program::own(program.ok()?);
        self.compile(&program, options).ok()?;
        Some(program)
    }

    /// Memory with unspecified contents.
    pub(super) fn memory(&self, bytes: usize) -> Result<Memory, Fault> {
        self.create(CL_MEM_READ_WRITE, bytes, ptr::null_mut())
    }

    /// One allocation of `count` slots of `bytes` bytes each, with unspecified contents.
    pub(super) fn slab(&self, bytes: usize, count: usize) -> Result<Slab, Fault> {
        let apart = self.slot_bytes(bytes);
        let whole = self.memory(apart * (count - 1) + bytes)?;
        let slots = if count == 1 {
            vec![Memory {
                handle: whole.handle.clone(),
                bytes,
                uses: Some(Mutex::default()),
            }]
        } else {
            let slots = (0..count).map(|slot| whole.part(apart * slot, bytes));
            slots.collect::<Result<_, _>>()?
        };
        Ok(Slab {
            whole,
            slots,
            apart,
        })
    }

    /// What a slot of `bytes` bytes takes of a slab that has several.
    pub(super) fn slot_bytes(&self, bytes: usize) -> usize {
        bytes.next_multiple_of(self.align_bytes)
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
        host: *mut c_void,
    ) -> Result<Memory, Fault> {
        // SAFETY: `host` is null, or the flags say to copy `bytes` bytes from it during the call
        // and it points to as many initialised ones.
        let raw = unsafe { memories::create_buffer(self.context.raw, flags, bytes, host) };
        Ok(Memory {
            handle: Arc::new(Handle {
                raw: raw.map_err(Fault::of("clCreateBuffer"))?,
                release: memories::release_mem_object,
            }),
            bytes,
            uses: (flags & CL_MEM_READ_ONLY == 0).then(Mutex::default),
        })
    }
}

/// A built program.
pub(super) struct Program(Handle);

impl Program {
    fn own(raw: *mut c_void) -> Self {
        Self(Handle {
            raw,
            release: programs::release_program,
        })
    }

    pub(super) fn kernel(&self, name: &str) -> Result<Kernel, Fault> {
        let name = CString::new(name).expect("names are written in this crate");
        let raw = kernels::create_kernel(self.0.raw, &name);
        Ok(Kernel(Handle {
            raw: raw.map_err(Fault::of("clCreateKernel"))?,
            release: kernels::release_kernel,
        }))
    }

    /// The driver's form of the program, for [`Session::load`].
    pub(super) fn binary(&self) -> Option<Vec<u8>> {
        let binaries = programs::get_program_info(self.0.raw, programs::CL_PROGRAM_BINARIES);
        let binary = Vec::<Vec<u8>>::from(binaries.ok()?).pop()?;
        (!binary.is_empty()).then_some(binary)
    }
}

/// One kernel of a program. Its arguments are state, so one thread uses it at a time.
pub(super) struct Kernel(Handle);

/// A queued command.
#[derive(Clone)]
pub(super) struct Event(Arc<Handle>);

impl Event {
    fn own(raw: cl_event) -> Self {
        Self(Arc::new(Handle {
            raw,
            release: events::release_event,
        }))
    }

    /// Waits until the command has run; its queue has been flushed.
    pub(super) fn wait(&self) -> Result<(), Fault> {
        events::wait_for_events(&[self.0.raw]).map_err(Fault::of("clWaitForEvents"))
    }
}

/// Device memory.
pub(super) struct Memory {
    handle: Arc<Handle>,
    bytes: usize,
    /// What was queued with it; tables are only read, and have no list.
    uses: Option<Mutex<Uses>>,
}

/// What was queued with some memory on which queue.
#[derive(Default)]
struct Uses {
    /// The last kernel of each queue, of those since the last write.
    last: Vec<(usize, Event)>,
    /// The last one that wrote to it as the result of a command.
    write: Option<(usize, Event)>,
}

impl Memory {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Memory of its own for these bytes of a slab.
    fn part(&self, origin: usize, size: usize) -> Result<Self, Fault> {
        let region = cl_buffer_region { origin, size };
        let (of, flags, kind) = (self.handle.raw, 0, CL_BUFFER_CREATE_TYPE_REGION);
        // SAFETY: the flags are those of the whole, and the call copies the region, whose origin and
        // size the runtime checks.
        let raw =
            unsafe { memories::create_sub_buffer(of, flags, kind, ptr::from_ref(&region).cast()) };
        Ok(Self {
            handle: Arc::new(Handle {
                raw: raw.map_err(Fault::of("clCreateSubBuffer"))?,
                release: memories::release_mem_object,
            }),
            bytes: size,
            uses: Some(Mutex::default()),
        })
    }

    /// What has to run before this memory is written to on a queue, or by a transfer: the last kernels
    /// with it of all other queues.
    pub(super) fn before_write(&self, queue: Option<usize>) -> Vec<Event> {
        let Some(uses) = self.uses() else {
            return Vec::new();
        };
        let others = (uses.last.iter()).filter(|(of, _)| Some(*of) != queue);
        others.map(|(_, event)| event.clone()).collect()
    }

    /// What has to run before it is read on a queue: the last result that another queue writes.
    pub(super) fn before_read(&self, queue: usize) -> Option<Event> {
        let uses = self.uses()?;
        let (of, event) = uses.write.as_ref()?;
        (*of != queue).then(|| event.clone())
    }

    /// A kernel has been queued with it.
    fn used_by(&self, queue: usize, event: &Event) {
        if let Some(mut uses) = self.uses() {
            match uses.last.iter_mut().find(|(of, _)| *of == queue) {
                Some((_, last)) => *last = event.clone(),
                None => uses.last.push((queue, event.clone())),
            }
        }
    }

    /// It holds the result of a command whose last kernel this is, and which ran after everything in
    /// [`Memory::before_write`].
    pub(super) fn written_by(&self, queue: usize, event: &Event) {
        if let Some(mut uses) = self.uses() {
            uses.last = vec![(queue, event.clone())];
            uses.write = Some((queue, event.clone()));
        }
    }

    fn uses(&self) -> Option<MutexGuard<'_, Uses>> {
        let uses = self.uses.as_ref()?;
        Some(uses.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One allocation with slots of one size: each is memory of its own, a sub-buffer, and kernels that take
/// lists get the whole and where in it their operands are.
///
/// OpenCL leaves undefined what happens when a buffer and a sub-buffer of it are used at once and one of
/// them is written. Here they are, by commands that run beside each other, but never the same words:
/// to drivers a sub-buffer is a place in its buffer, and what is shared is ordered by the events of slots.
pub(super) struct Slab {
    whole: Memory,
    slots: Vec<Memory>,
    /// Bytes from one slot to the next.
    apart: usize,
}

impl Slab {
    pub(super) fn slots(&self) -> &[Memory] {
        &self.slots
    }

    pub(super) fn bytes(&self) -> usize {
        self.whole.bytes
    }

    /// The first word of a slot.
    pub(super) fn first_word(&self, slot: usize) -> u64 {
        (self.apart * slot / 8) as u64
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
    /// A whole slab, of which the kernel uses what is listed for the launch.
    Slab(&'a Slab),
    Word(u32),
    Words4(Words4),
    Words8(Words8),
}

/// An in-order queue: commands run one after the other.
pub(super) struct Queue {
    handle: Handle,
    number: usize,
    /// The last kernel or clearing that was queued.
    latest: Mutex<Option<Event>>,
    #[cfg(test)]
    injected: Arc<Injected>,
}

impl Queue {
    /// Fails where a test has the device lost.
    #[inline]
    fn answers(&self, _call: &'static str) -> Result<(), Fault> {
        #[cfg(test)]
        if (self.injected.lost).load(std::sync::atomic::Ordering::Relaxed) {
            // What drivers give when a device is gone: out of resources.
            return Err(Fault {
                call: _call,
                code: -5,
            });
        }
        Ok(())
    }

    /// Queues a kernel, to run after these events of other queues, which have been flushed. `listed` is
    /// what it uses of slabs.
    ///
    /// The caller guarantees that the arguments are those of the kernel's declaration, and that the
    /// kernel stays within its buffers for them.
    pub(super) fn launch(
        &self,
        kernel: &mut Kernel,
        args: &[Arg<'_>],
        listed: &[&Memory],
        global: [usize; 3],
        local: usize,
        after: &[Event],
    ) -> Result<(), Fault> {
        let call = "clEnqueueNDRangeKernel";
        self.answers(call)?;
        #[cfg(test)]
        if let Some(code @ ..0) = self.injected.launches.lock().expect("a test").pop() {
            return Err(Fault { call, code });
        }
        for (i, arg) in args.iter().enumerate() {
            let (size, value): (usize, *const c_void) = match arg {
                Arg::Memory(memory) => of(&memory.handle.raw),
                Arg::Slab(slab) => of(&slab.whole.handle.raw),
                Arg::Word(word) => of(word),
                Arg::Words4(words) => of(words),
                Arg::Words8(words) => of(words),
            };
            // SAFETY: the runtime checks the index and the size of the value against the kernel
            // and copies the value during the call. Memory handles are alive; the runtime keeps
            // memory until the commands that use it have run.
            let set = unsafe { kernels::set_kernel_arg(kernel.0.raw, i as u32, size, value) };
            set.map_err(Fault::of("clSetKernelArg"))?;
        }
        let local = [local, 1, 1];
        let after = wait_list(after);
        let (count, list) = length_and_place(&after);
        // SAFETY: all arguments are set; the sizes have as many dimensions as is said, and live
        // until the call returns. Kernels index only within the windows of their arguments and of
        // what is listed, which the ring has checked against the buffers. The events are alive.
        let event = unsafe {
            queues::enqueue_nd_range_kernel(
                self.handle.raw,
                kernel.0.raw,
                3,
                ptr::null(),
                global.as_ptr(),
                local.as_ptr(),
                count,
                list,
            )
        };
        let event = Event::own(event.map_err(Fault::of(call))?);
        for arg in args {
            if let Arg::Memory(memory) = arg {
                memory.used_by(self.number, &event);
            }
        }
        (listed.iter()).for_each(|memory| memory.used_by(self.number, &event));
        self.came(event);
        Ok(())
    }

    /// Fills memory with zeros, after these events.
    pub(super) fn clear(&self, memory: &Memory, after: &[Event]) -> Result<(), Fault> {
        self.answers("clEnqueueFillBuffer")?;
        let after = wait_list(after);
        let (count, list) = length_and_place(&after);
        let (size, pattern) = of(&0u8);
        // SAFETY: the range is the whole buffer, and its size is a multiple of the pattern's, which
        // the call copies. The events are alive.
        let event = unsafe {
            let (queue, buffer) = (self.handle.raw, memory.handle.raw);
            let bytes = memory.bytes;
            queues::enqueue_fill_buffer(queue, buffer, pattern, size, 0, bytes, count, list)
        };
        let event = Event::own(event.map_err(Fault::of("clEnqueueFillBuffer"))?);
        memory.written_by(self.number, &event);
        self.came(event);
        Ok(())
    }

    /// Copies host words to memory from word `start`, after these events; waits.
    pub(super) fn write(
        &self,
        memory: &Memory,
        start: usize,
        words: &[u64],
        after: &[Event],
    ) -> Result<(), Fault> {
        within(memory, start, words.len());
        self.answers("clEnqueueWriteBuffer")?;
        let after = wait_list(after);
        let (count, list) = length_and_place(&after);
        // SAFETY: the range is within the buffer, as was just checked, and the call returns after
        // the host bytes have been read. The events are alive.
        let event = unsafe {
            queues::enqueue_write_buffer(
                self.handle.raw,
                memory.handle.raw,
                CL_TRUE,
                8 * start,
                size_of_val(words),
                words.as_ptr().cast(),
                count,
                list,
            )
        };
        Event::own(event.map_err(Fault::of("clEnqueueWriteBuffer"))?);
        Ok(())
    }

    /// Copies memory from word `start` to host words, after all earlier commands and these events; waits.
    pub(super) fn read(
        &self,
        memory: &Memory,
        start: usize,
        words: &mut [u64],
        after: &[Event],
    ) -> Result<(), Fault> {
        within(memory, start, words.len());
        self.answers("clEnqueueReadBuffer")?;
        let after = wait_list(after);
        let (count, list) = length_and_place(&after);
        // SAFETY: the range is within the buffer, as was just checked, and the call returns after
        // the host bytes have been written. The events are alive.
        let event = unsafe {
            queues::enqueue_read_buffer(
                self.handle.raw,
                memory.handle.raw,
                CL_TRUE,
                8 * start,
                size_of_val(words),
                words.as_mut_ptr().cast(),
                count,
                list,
            )
        };
        Event::own(event.map_err(Fault::of("clEnqueueReadBuffer"))?);
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), Fault> {
        self.answers("clFlush")?;
        queues::flush(self.handle.raw).map_err(Fault::of("clFlush"))
    }

    pub(super) fn finish(&self) -> Result<(), Fault> {
        self.answers("clFinish")?;
        queues::finish(self.handle.raw).map_err(Fault::of("clFinish"))
    }

    /// The last kernel or clearing that was queued.
    pub(super) fn latest(&self) -> Option<Event> {
        let latest = self.latest.lock();
        latest.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn came(&self, event: Event) {
        let latest = self.latest.lock();
        *latest.unwrap_or_else(PoisonError::into_inner) = Some(event);
    }
}

/// Size and place of a value.
fn of<T>(value: &T) -> (usize, *const c_void) {
    (size_of_val(value), ptr::from_ref(value).cast())
}

/// The handles of events.
fn wait_list(events: &[Event]) -> Vec<cl_event> {
    events.iter().map(|event| event.0.raw).collect()
}

/// The length of a list, and its place, which is null where it is empty.
fn length_and_place(list: &[cl_event]) -> (u32, *const cl_event) {
    match list {
        [] => (0, ptr::null()),
        _ => (list.len() as u32, list.as_ptr()),
    }
}

fn within(memory: &Memory, start: usize, words: usize) {
    assert!(
        8 * (start + words) <= memory.bytes,
        "a window is within its buffer"
    );
}

/// What several rings share.
pub(super) type SharedSession = Arc<Session>;

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that is gone may refuse to release what it gave.
    #[test]
    fn a_handle_that_is_not_released_is_no_panic() {
        drop(Handle {
            raw: ptr::null_mut(),
            release: |_| Err(-5),
        });
    }
}
