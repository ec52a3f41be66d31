//! The calls of XRT's native C interface that this crate makes (`xrt/xrt_device.h`, `xrt_bo.h`,
//! `xrt_kernel.h` of XRT 2.13), looked up in the library at run time.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    mem::size_of_val,
    path::Path,
    ptr::NonNull,
    time::Duration,
};

/// Something that the driver made.
pub(super) type Handle = NonNull<c_void>;
type Raw = *mut c_void;
pub(super) type Uuid = [u8; 16];

/// A call that failed, in words.
#[derive(Debug)]
pub(super) struct Failed(pub(super) String);

/// Library names, newest interface last: distributions install the one with a number.
const LIBRARIES: [&CStr; 2] = [c"libxrt_coreutil.so.2", c"libxrt_coreutil.so"];
const TO_DEVICE: c_int = 0;
const FROM_DEVICE: c_int = 1;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> Raw;
    fn dlsym(library: Raw, name: *const c_char) -> Raw;
}
/// Resolve everything now, and keep names to the library.
const RTLD_NOW: c_int = 2;

macro_rules! driver {
    ($($field:ident: $name:literal, fn($($argument:ty),* $(; $more:tt)?) -> $result:ty;)*) => {
        /// The functions. The library stays loaded: it starts threads of its own.
        pub(super) struct Driver {
            $($field: unsafe extern "C" fn($($argument),* $(, $more)?) -> $result,)*
        }

        impl Driver {
            /// # Errors
            /// The library, a function of it, or the variable that says where its parts are, is
            /// not there.
            pub(super) fn load() -> Result<Self, String> {
                // Without these the driver throws where nobody can catch it, and the process ends.
                let root = std::env::var_os("XILINX_XRT")
                    .ok_or("XILINX_XRT is not set: source XRT's setup.sh")?;
                let core = Path::new(&root).join("lib/libxrt_core.so.2");
                if !core.exists() {
                    return Err(format!("{} is not there: see XILINX_XRT", core.display()));
                }
                let library = LIBRARIES.iter().find_map(|name| {
                    // SAFETY: the name ends in zero; loading runs the library's initialisers, which
                    // is what the caller asks for.
                    NonNull::new(unsafe { dlopen(name.as_ptr(), RTLD_NOW) })
                });
                let library = library.ok_or("libxrt_coreutil.so.2 cannot be loaded")?;
                Ok(Self {$(
                    $field: {
                        // SAFETY: the library is open and the name ends in zero.
                        let found = unsafe { dlsym(library.as_ptr(), $name.as_ptr()) };
                        let found = NonNull::new(found)
                            .ok_or_else(|| format!("XRT has no {:?}", $name))?;
                        // SAFETY: the type is that of the header, in XRT's stable C interface.
                        unsafe {
                            std::mem::transmute::<
                                Raw,
                                unsafe extern "C" fn($($argument),* $(, $more)?) -> $result,
                            >(found.as_ptr())
                        }
                    },
                )*})
            }
        }
    };
}

driver! {
    device_open: c"xrtDeviceOpen", fn(c_uint) -> Raw;
    device_close: c"xrtDeviceClose", fn(Raw) -> c_int;
    device_load: c"xrtDeviceLoadXclbin", fn(Raw, *const c_void) -> c_int;
    device_uuid: c"xrtDeviceGetXclbinUUID", fn(Raw, *mut u8) -> c_int;
    kernel_open: c"xrtPLKernelOpen", fn(Raw, *const u8, *const c_char) -> Raw;
    kernel_close: c"xrtKernelClose", fn(Raw) -> c_int;
    kernel_offset: c"xrtKernelArgOffset", fn(Raw, c_int) -> u32;
    kernel_group: c"xrtKernelArgGroupId", fn(Raw, c_int) -> c_int;
    buffer_open: c"xrtBOAlloc", fn(Raw, usize, u64, u32) -> Raw;
    buffer_close: c"xrtBOFree", fn(Raw) -> c_int;
    buffer_sync: c"xrtBOSync", fn(Raw, c_int, usize, usize) -> c_int;
    buffer_write: c"xrtBOWrite", fn(Raw, *const c_void, usize, usize) -> c_int;
    buffer_read: c"xrtBORead", fn(Raw, *mut c_void, usize, usize) -> c_int;
    run_open: c"xrtRunOpen", fn(Raw) -> Raw;
    run_close: c"xrtRunClose", fn(Raw) -> c_int;
    run_argument: c"xrtRunSetArg", fn(Raw, c_int; ...) -> c_int;
    run_start: c"xrtRunStart", fn(Raw) -> c_int;
    run_wait: c"xrtRunWaitFor", fn(Raw, c_uint) -> c_int;
}

// What every call below relies on: handles come from the same driver and are live, which the one owner
// of them (`Xrt`) sees to; lengths are those of the slices.
impl Driver {
    pub(super) fn open(&self, card: u32) -> Option<Handle> {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        NonNull::new(unsafe { (self.device_open)(card) })
    }

    pub(super) fn close(&self, device: Handle) {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        unsafe { (self.device_close)(device.as_ptr()) };
    }

    /// Loads a whole container, whose start the caller has seen, and returns its identifier.
    pub(super) fn load_bitstream(&self, device: Handle, bytes: &[u8]) -> Result<Uuid, Failed> {
        // The driver reads as many bytes as the header says. The container's length lies behind
        // the signature (`axlf.m_header.m_length` of xclbin.h).
        const LENGTH_AT: usize = 304;
        let says = bytes.get(LENGTH_AT..LENGTH_AT + 8);
        let says = says.map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")));
        if says != Some(bytes.len() as u64) {
            let length = bytes.len();
            return Err(Failed(format!("it has {length} bytes and says {says:?}")));
        }
        // The driver expects it aligned as its structure is.
        let mut aligned = vec![0u64; bytes.len().div_ceil(8)];
        for (word, chunk) in aligned.iter_mut().zip(bytes.chunks(8)) {
            let mut buffer = [0; 8];
            buffer[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(buffer);
        }
        let mut uuid = Uuid::default();
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtDeviceLoadXclbin", unsafe {
            (self.device_load)(device.as_ptr(), aligned.as_ptr().cast())
        })?;
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtDeviceGetXclbinUUID", unsafe {
            (self.device_uuid)(device.as_ptr(), uuid.as_mut_ptr())
        })?;
        Ok(uuid)
    }

    pub(super) fn open_kernel(&self, device: Handle, uuid: &Uuid, name: &str) -> Option<Handle> {
        let name = CString::new(name).ok()?;
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        NonNull::new(unsafe { (self.kernel_open)(device.as_ptr(), uuid.as_ptr(), name.as_ptr()) })
    }

    pub(super) fn close_kernel(&self, kernel: Handle) {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        unsafe { (self.kernel_close)(kernel.as_ptr()) };
    }

    /// All ones for an argument that is not there.
    pub(super) fn argument_offset(&self, kernel: Handle, index: usize) -> u32 {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        unsafe { (self.kernel_offset)(kernel.as_ptr(), index as c_int) }
    }

    pub(super) fn argument_group(&self, kernel: Handle, index: usize) -> Result<u32, Failed> {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        let group = unsafe { (self.kernel_group)(kernel.as_ptr(), index as c_int) };
        u32::try_from(group).map_err(|_| Failed(format!("xrtKernelArgGroupId gave {group}")))
    }

    pub(super) fn allocate(&self, device: Handle, bytes: u64, group: u32) -> Option<Handle> {
        let bytes = usize::try_from(bytes).ok()?;
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        NonNull::new(unsafe { (self.buffer_open)(device.as_ptr(), bytes, 0, group) })
    }

    pub(super) fn free(&self, buffer: Handle) {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        unsafe { (self.buffer_close)(buffer.as_ptr()) };
    }

    pub(super) fn write(&self, buffer: Handle, at: u64, words: &[u64]) -> Result<(), Failed> {
        let (size, at) = (size_of_val(words), at as usize);
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtBOWrite", unsafe {
            (self.buffer_write)(buffer.as_ptr(), words.as_ptr().cast(), size, at)
        })?;
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtBOSync", unsafe {
            (self.buffer_sync)(buffer.as_ptr(), TO_DEVICE, size, at)
        })
    }

    pub(super) fn read(&self, buffer: Handle, at: u64, words: &mut [u64]) -> Result<(), Failed> {
        let (size, at) = (size_of_val(words), at as usize);
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtBOSync", unsafe {
            (self.buffer_sync)(buffer.as_ptr(), FROM_DEVICE, size, at)
        })?;
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtBORead", unsafe {
            (self.buffer_read)(buffer.as_ptr(), words.as_mut_ptr().cast(), size, at)
        })
    }

    pub(super) fn open_run(&self, kernel: Handle) -> Result<Handle, Failed> {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        let run = NonNull::new(unsafe { (self.run_open)(kernel.as_ptr()) });
        run.ok_or_else(|| Failed("xrtRunOpen gave none".into()))
    }

    pub(super) fn close_run(&self, run: Handle) {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        unsafe { (self.run_close)(run.as_ptr()) };
    }

    pub(super) fn set_buffer(&self, run: Handle, at: usize, value: Handle) -> Result<(), Failed> {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtRunSetArg", unsafe {
            (self.run_argument)(run.as_ptr(), at as c_int, value.as_ptr())
        })
    }

    pub(super) fn set_scalar(
        &self,
        run: Handle,
        at: usize,
        value: u64,
        bits: u32,
    ) -> Result<(), Failed> {
        let (run, at) = (run.as_ptr(), at as c_int);
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtRunSetArg", unsafe {
            if bits == 64 {
                (self.run_argument)(run, at, value)
            } else {
                (self.run_argument)(run, at, value as c_uint)
            }
        })
    }

    pub(super) fn start(&self, run: Handle) -> Result<(), Failed> {
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        check("xrtRunStart", unsafe { (self.run_start)(run.as_ptr()) })
    }

    /// State of the run when it has ended, or after `limit`; at least a millisecond, as 0 would be
    /// for ever.
    pub(super) fn wait(&self, run: Handle, limit: Duration) -> i32 {
        let limit = limit.as_millis().clamp(1, u128::from(c_uint::MAX)) as c_uint;
        // SAFETY: live handles of this driver and slices of these lengths, as said above.
        unsafe { (self.run_wait)(run.as_ptr(), limit) }
    }
}

fn check(call: &str, code: c_int) -> Result<(), Failed> {
    match code {
        0 => Ok(()),
        code => Err(Failed(format!("{call} gave {code}"))),
    }
}
