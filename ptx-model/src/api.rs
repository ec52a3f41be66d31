//! The functions of OpenCL that `ringloom-ntt` calls. Others are not exported, which loaders report.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_char, c_void},
    mem::size_of,
    ptr, slice,
    sync::Arc,
};

use crate::{
    objects::{Argument, Code, Context, Memory, Program, Ready, code, limits, lock},
    queue::{Command, Event, Queue},
};

type Handle = *mut c_void;

/// A new handle; null and a code on failure.
///
/// # Safety
/// `status` is null or may be written to.
unsafe fn give<T>(made: Result<T, Code>, status: *mut Code) -> Handle {
    let (handle, code) = match made {
        Ok(object) => (Box::into_raw(Box::new(object)).cast(), code::SUCCESS),
        Err(code) => (ptr::null_mut(), code),
    };
    if !status.is_null() {
        // SAFETY: as the caller guarantees.
        unsafe { *status = code };
    }
    handle
}

/// The object of a handle.
///
/// # Safety
/// The handle came from [`give`] for this type and has not been released.
unsafe fn object<'a, T>(handle: Handle) -> &'a T {
    // SAFETY: as the caller guarantees.
    unsafe { &*handle.cast::<T>() }
}

/// # Safety
/// As for [`object`]; the handle is used no more.
unsafe fn release<T>(handle: Handle) -> Code {
    // SAFETY: as the caller guarantees.
    drop(unsafe { Box::from_raw(handle.cast::<T>()) });
    code::SUCCESS
}

fn status(done: Result<(), Code>) -> Code {
    done.err().unwrap_or(code::SUCCESS)
}

/// Answers a question about an object.
///
/// # Safety
/// `value` is null or has room for `room` bytes; `size` is null or may be written to.
unsafe fn answer(bytes: &[u8], room: usize, value: Handle, size: *mut usize) -> Code {
    if !size.is_null() {
        // SAFETY: as the caller guarantees.
        unsafe { *size = bytes.len() };
    }
    if !value.is_null() {
        if room < bytes.len() {
            return code::INVALID_VALUE;
        }
        // SAFETY: there is room, as was just checked.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), bytes.len()) };
    }
    code::SUCCESS
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The one platform and its one device; their handles are never followed.
const PLATFORM: Handle = ptr::without_provenance_mut(1);
const DEVICE: Handle = ptr::without_provenance_mut(2);

/// # Safety
/// `list` is null or has room for `room` handles; `count` is null or may be written to.
unsafe fn one(handle: Handle, room: u32, list: *mut Handle, count: *mut u32) -> Code {
    if !count.is_null() {
        // SAFETY: as the caller guarantees.
        unsafe { *count = 1 };
    }
    if !list.is_null() && room > 0 {
        // SAFETY: as the caller guarantees.
        unsafe { *list = handle };
    }
    code::SUCCESS
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),* $(,)?) -> $out:ty $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As OpenCL 1.2 asks.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($arg: $type),*) -> $out {
                #[allow(unused_unsafe)] // by the few that follow no handle
                // SAFETY: the caller keeps to OpenCL's rules for handles, sizes and places.
                unsafe { $body }
            }
        )*
    };
}

functions! {
    /// The platform.
    clGetPlatformIDs(room: u32, list: *mut Handle, count: *mut u32) -> Code {
        one(PLATFORM, room, list, count)
    }

    /// Its name, vendor, version, profile and extensions.
    clGetPlatformInfo(_platform: Handle, of: u32, room: usize, value: Handle, size: *mut usize) -> Code {
        let bytes = match of {
            0x0900 => text("FULL_PROFILE"),
            0x0901 => text("OpenCL 1.2 PTX model"),
            // The library takes NVIDIA's assembly by the name of the platform.
            0x0902 => text("NVIDIA PTX, modelled"),
            0x0903 => text("Ringloom"),
            0x0904 => text("cl_khr_fp64"),
            _ => return code::INVALID_VALUE,
        };
        answer(&bytes, room, value, size)
    }

    /// The device, for kinds that a GPU is of.
    clGetDeviceIDs(_platform: Handle, kind: u64, room: u32, list: *mut Handle, count: *mut u32) -> Code {
        // GPU, default, all.
        if kind & (1 << 2 | 1) == 0 {
            return code::DEVICE_NOT_FOUND;
        }
        one(DEVICE, room, list, count)
    }

    /// What the device is and has.
    clGetDeviceInfo(_device: Handle, of: u32, room: usize, value: Handle, size: *mut usize) -> Code {
        let word = |word: u64| word.to_ne_bytes().to_vec();
        let half = |half: u32| half.to_ne_bytes().to_vec();
        let bytes = match of {
            0x1000 => word(1 << 2),
            0x1002 => half(limits::UNITS),
            0x1004 => limits::GROUP_ITEMS.to_ne_bytes().to_vec(),
            0x1010 => word(limits::BUFFER_BYTES),
            0x1019 => half(8 * limits::ALIGN_BYTES as u32),
            0x101f => word(limits::MEMORY_BYTES),
            0x1023 => word(limits::SHARED_BYTES),
            // Little-endian, available, with a compiler.
            0x1026..=0x1028 => half(1),
            0x102b => text("PTX model, sm_80"),
            0x102c => text("Ringloom"),
            0x102d => text(env!("CARGO_PKG_VERSION")),
            0x102f => text("OpenCL 1.2 PTX model"),
            // Denormals, infinities, rounding to nearest, fused multiply-add.
            0x1032 => word(0b10_0111),
            _ => return code::INVALID_VALUE,
        };
        answer(&bytes, room, value, size)
    }

    /// A context of the device.
    clCreateContext(
        _properties: *const isize,
        _count: u32,
        _devices: *const Handle,
        _notify: Option<unsafe extern "C" fn(*const c_char, *const c_void, usize, Handle)>,
        _data: Handle,
        status: *mut Code,
    ) -> Handle {
        give(Ok(Arc::new(Context::default())), status)
    }

    /// Ends the use of a context.
    clReleaseContext(context: Handle) -> Code {
        release::<Arc<Context>>(context)
    }

    /// An in-order queue.
    clCreateCommandQueue(_context: Handle, _device: Handle, _properties: u64, status: *mut Code) -> Handle {
        give(Ok(Arc::new(Queue::default())), status)
    }

    /// Ends the use of a queue. What is queued runs when an event of it is waited for.
    clReleaseCommandQueue(queue: Handle) -> Code {
        release::<Arc<Queue>>(queue)
    }

    /// Memory; of the flags, read-only and copying from the host are known.
    clCreateBuffer(context: Handle, flags: u64, bytes: usize, host: *const c_void, status: *mut Code) -> Handle {
        let (read_only, copies) = (flags & (1 << 2) != 0, flags & (1 << 5) != 0);
        let context = object::<Arc<Context>>(context);
        let made = context.allocate(bytes, read_only).inspect(|memory| {
            if copies {
                let host = slice::from_raw_parts(host.cast::<u8>(), bytes);
                memory.with_bytes(|bytes| bytes.copy_from_slice(host));
            }
        });
        give(made, status)
    }

    /// A part of memory.
    clCreateSubBuffer(buffer: Handle, _flags: u64, _kind: u32, region: *const [usize; 2], status: *mut Code) -> Handle {
        let [start, bytes] = *region;
        give(object::<Memory>(buffer).part(start, bytes), status)
    }

    /// Ends the use of memory; that of its parts goes on.
    clReleaseMemObject(buffer: Handle) -> Code {
        release::<Memory>(buffer)
    }

    /// A program of OpenCL C.
    clCreateProgramWithSource(
        context: Handle,
        count: u32,
        texts: *const *const c_char,
        lengths: *const usize,
        status: *mut Code,
    ) -> Handle {
        let mut source = Vec::new();
        for i in 0..count as usize {
            let text = (*texts.add(i)).cast::<u8>();
            match (!lengths.is_null()).then(|| *lengths.add(i)) {
                None | Some(0) => source.extend(CStr::from_ptr(text.cast()).to_bytes()),
                Some(length) => source.extend(slice::from_raw_parts(text, length)),
            }
        }
        let context = object::<Arc<Context>>(context).clone();
        let source = String::from_utf8(source).map_err(|_| code::INVALID_VALUE);
        give(source.map(|source| Program::of_source(context, source)), status)
    }

    /// A program of PTX, as [`clGetProgramInfo`] gave it.
    clCreateProgramWithBinary(
        context: Handle,
        _count: u32,
        _devices: *const Handle,
        lengths: *const usize,
        binaries: *const *const u8,
        _each: *mut Code,
        status: *mut Code,
    ) -> Handle {
        let binary = slice::from_raw_parts(*binaries, *lengths).to_vec();
        let ptx = String::from_utf8(binary).ok().filter(|ptx| ptx.starts_with("//"));
        let context = object::<Arc<Context>>(context).clone();
        let ptx = ptx.ok_or(code::INVALID_BINARY);
        give(ptx.map(|ptx| Program::of_ptx(context, ptx)), status)
    }

    /// Compiles a program.
    clBuildProgram(
        program: Handle,
        _count: u32,
        _devices: *const Handle,
        options: *const c_char,
        _notify: Option<unsafe extern "C" fn(Handle, Handle)>,
        _data: Handle,
    ) -> Code {
        let options = if options.is_null() { c"" } else { CStr::from_ptr(options) };
        status(object::<Program>(program).build(&options.to_string_lossy()))
    }

    /// The log of a build.
    clGetProgramBuildInfo(program: Handle, _device: Handle, of: u32, room: usize, value: Handle, size: *mut usize) -> Code {
        match of {
            0x1183 => answer(&text(&lock(&object::<Program>(program).built).log), room, value, size),
            _ => code::INVALID_VALUE,
        }
    }

    /// The binary of a program: its PTX.
    clGetProgramInfo(program: Handle, of: u32, room: usize, value: Handle, size: *mut usize) -> Code {
        let built = lock(&object::<Program>(program).built);
        match of {
            0x1162 => answer(&1u32.to_ne_bytes(), room, value, size),
            0x1165 => answer(&built.ptx.len().to_ne_bytes(), room, value, size),
            0x1166 => {
                if !size.is_null() {
                    *size = size_of::<Handle>();
                }
                if !value.is_null() {
                    let place = *value.cast::<*mut u8>();
                    ptr::copy_nonoverlapping(built.ptx.as_ptr(), place, built.ptx.len());
                }
                code::SUCCESS
            }
            _ => code::INVALID_VALUE,
        }
    }

    /// Ends the use of a program; its kernels live on.
    clReleaseProgram(program: Handle) -> Code {
        release::<Program>(program)
    }

    /// A kernel of a program.
    clCreateKernel(program: Handle, name: *const c_char, status: *mut Code) -> Handle {
        let name = CStr::from_ptr(name).to_string_lossy();
        give(object::<Program>(program).kernel(&name), status)
    }

    /// Ends the use of a kernel.
    clReleaseKernel(kernel: Handle) -> Code {
        release::<Ready>(kernel)
    }

    /// Sets an argument, by what the kernel says it is.
    clSetKernelArg(kernel: Handle, index: u32, size: usize, value: *const c_void) -> Code {
        let ready = object::<Ready>(kernel);
        let Some(param) = ready.kernel.params.get(index as usize) else {
            return code::INVALID_ARG_INDEX;
        };
        if size != param.bytes {
            return code::INVALID_ARG_SIZE;
        }
        let argument = if param.is_memory {
            let memory = *value.cast::<Handle>();
            Argument::Memory(object::<Memory>(memory).clone())
        } else {
            Argument::Bytes(slice::from_raw_parts(value.cast::<u8>(), size).to_vec())
        };
        lock(&ready.args)[index as usize] = Some(argument);
        code::SUCCESS
    }

    /// Queues a kernel.
    clEnqueueNDRangeKernel(
        queue: Handle,
        kernel: Handle,
        axes: u32,
        _offset: *const usize,
        global: *const usize,
        local: *const usize,
        count: u32,
        after: *const Handle,
        event: *mut Handle,
    ) -> Code {
        let sizes = |sizes: *const usize| {
            let given = slice::from_raw_parts(sizes, axes.min(3) as usize);
            std::array::from_fn(|axis| given.get(axis).copied().unwrap_or(1))
        };
        let launch = object::<Ready>(kernel).prepare(sizes(global), sizes(local));
        let launch = launch.map(Command::Launch);
        status(launch.map(|launch| queued(queue, launch, (count, after), event)))
    }

    /// Queues filling memory with a pattern.
    clEnqueueFillBuffer(
        queue: Handle,
        buffer: Handle,
        pattern: *const c_void,
        pattern_bytes: usize,
        start: usize,
        bytes: usize,
        count: u32,
        after: *const Handle,
        event: *mut Handle,
    ) -> Code {
        let pattern = slice::from_raw_parts(pattern.cast::<u8>(), pattern_bytes).to_vec();
        let range = object::<Memory>(buffer).range(start, bytes);
        let fill = range.map(|range| Command::Fill(range, pattern));
        status(fill.map(|fill| queued(queue, fill, (count, after), event)))
    }

    /// Queues a copy from the host, whose bytes are taken now; waits for it if asked to.
    clEnqueueWriteBuffer(
        queue: Handle,
        buffer: Handle,
        waits: u32,
        start: usize,
        bytes: usize,
        host: *const c_void,
        count: u32,
        after: *const Handle,
        event: *mut Handle,
    ) -> Code {
        let host = slice::from_raw_parts(host.cast::<u8>(), bytes).to_vec();
        let range = object::<Memory>(buffer).range(start, bytes);
        let write = range.map(|range| Command::Write(range, host));
        let done = write.map(|write| queued(queue, write, (count, after), event));
        status(done.and_then(|()| match waits {
            0 => Ok(()),
            _ => object::<Arc<Queue>>(queue).finish(),
        }))
    }

    /// Copies to the host, after all that is queued and these events, whether or not it is asked to wait.
    clEnqueueReadBuffer(
        queue: Handle,
        buffer: Handle,
        _waits: u32,
        start: usize,
        bytes: usize,
        host: Handle,
        count: u32,
        after: *const Handle,
        event: *mut Handle,
    ) -> Code {
        let host = slice::from_raw_parts_mut(host.cast::<u8>(), bytes);
        queued(queue, Command::Nothing, (count, after), event);
        let done = object::<Arc<Queue>>(queue).finish();
        let range = object::<Memory>(buffer).range(start, bytes);
        let read = done.and(range).map(|range| range.with_bytes(|bytes| host.copy_from_slice(bytes)));
        status(read)
    }

    /// Nothing: what is queued runs when something waits for it.
    clFlush(_queue: Handle) -> Code {
        code::SUCCESS
    }

    /// Runs what is queued.
    clFinish(queue: Handle) -> Code {
        status(object::<Arc<Queue>>(queue).finish())
    }

    /// Runs what events stand for.
    clWaitForEvents(count: u32, events: *const Handle) -> Code {
        status(list(count, events).iter().try_for_each(|event| event.wait()))
    }

    /// Ends the use of an event.
    clReleaseEvent(event: Handle) -> Code {
        release::<Arc<Event>>(event)
    }
}

/// The events of a list.
///
/// # Safety
/// As for [`object`], for as many handles.
unsafe fn list(count: u32, events: *const Handle) -> Vec<Arc<Event>> {
    // SAFETY: as the caller guarantees.
    let event = |i| unsafe { object::<Arc<Event>>(*events.add(i)).clone() };
    (0..count as usize).map(event).collect()
}

/// Queues a command after the events of a list.
///
/// # Safety
/// As for [`list`] and [`object`]; `event` is null or may be written to.
unsafe fn queued(
    queue: Handle,
    command: Command,
    (count, after): (u32, *const Handle),
    event: *mut Handle,
) {
    // SAFETY: as the caller guarantees.
    let (queue, after) = unsafe { (object::<Arc<Queue>>(queue), list(count, after)) };
    let made = queue.add(command, after);
    if !event.is_null() {
        // SAFETY: as the caller guarantees.
        unsafe { *event = give(Ok(made), ptr::null_mut()) };
    }
}
