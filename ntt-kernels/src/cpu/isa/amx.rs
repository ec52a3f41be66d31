//! Tiles of bytes by AMX, Intel's matrix unit: a thousand products of bytes per cycle.
//!
//! The intrinsics are not stable in Rust, so the instructions are written as assembly. The
//! operating system lets a process use the unit after it has asked.

use std::arch::{asm, x86_64::*};

use super::bytes::{ByteUnit, Sums};

/// Proof that the machine has AMX with bytes and that the system lets this process use it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amx(());

impl Amx {
    /// The token, where the machine has the unit and the system grants it.
    pub(super) fn detect() -> Option<Self> {
        (has_unit() && ask_system()).then_some(Self(()))
    }
}

/// CPUID leaf 7: AMX-TILE and AMX-INT8.
fn has_unit() -> bool {
    const TILE_AND_INT8: u32 = 0b11 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILE_AND_INT8 == TILE_AND_INT8
}

/// Asks for the tile registers, once and for all threads. Without the right, the first use ends
/// the process, so a refusal means that there is no unit.
#[cfg(target_os = "linux")]
fn ask_system() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST_PERMISSION: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let result: i64;
    // SAFETY: the call reads no memory of ours and changes only what registers we may use; the
    // kernel keeps all registers but rax, rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn ask_system() -> bool {
    false
}

/// Palette 1: eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Config([u8; 64]);

static CONFIG: Config = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Config(bytes)
};

impl ByteUnit for Amx {
    fn start(self) {
        // SAFETY: the token proves the unit; the configuration is valid for palette 1.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly));
        }
    }

    fn finish(self) {
        // SAFETY: the token proves the unit.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }

    unsafe fn sums(self, pairs: &[(*const u8, *const u8)], tiles: usize, sums: &mut Sums) {
        if pairs.is_empty() || tiles == 0 {
            sums.0.fill(0);
            return;
        }
        // Tiles 0 to 3 are the sums (rows above, below; columns left, right), 4 and 5 the rows,
        // 6 and 7 the columns. A pair in memory is two pointers.
        // SAFETY: the caller's promise for what is read; the sums have 32 rows of 128 bytes.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "mov {a}, [{pair}]",
                "mov {b}, [{pair} + 8]",
                "mov {left}, {tiles}",
                "3:",
                "tileloadd tmm4, [{a} + {row}]",
                "tileloadd tmm6, [{b} + {row}]",
                "tdpbsud tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {row} + 1024]",
                "tdpbsud tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{a} + {row} + 1024]",
                "tdpbsud tmm2, tmm5, tmm6",
                "tdpbsud tmm3, tmm5, tmm7",
                "add {a}, 2048",
                "add {b}, 2048",
                "dec {left}",
                "jnz 3b",
                "add {pair}, 16",
                "dec {pairs}",
                "jnz 2b",
                "tilestored [{sums} + {wide}], tmm0",
                "tilestored [{sums} + {wide} + 64], tmm1",
                "tilestored [{sums} + {wide} + 2048], tmm2",
                "tilestored [{sums} + {wide} + 2112], tmm3",
                pair = inout(reg) pairs.as_ptr() => _,
                pairs = inout(reg) pairs.len() => _,
                tiles = in(reg) tiles,
                a = out(reg) _,
                b = out(reg) _,
                left = out(reg) _,
                row = in(reg) 64usize,
                wide = in(reg) 128usize,
                sums = in(reg) sums.0.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
