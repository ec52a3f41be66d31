//! An OpenCL device without hardware: a library that a program loads in place of `libOpenCL`, and that
//! runs what Clang makes of OpenCL C for NVIDIA's GPUs, instruction by instruction.
//!
//! It is for tests: results must be those of every other device, and what a GPU lets pass in silence is a
//! fault here.
//!
//! | fault | how it is found |
//! |---|---|
//! | an access outside the arguments, or in a part of a buffer that is no argument | every access is looked up |
//! | a write to memory that is only read, an address that is not aligned | the same |
//! | a race, in shared or global memory | each four bytes know who wrote and read them last: an item, between which barriers |
//! | a barrier that not all items reach | where a warp has parted, or warps wait at different ones |
//! | memory that is used before it is written | new memory holds what is no residue |
//! | a command that was not waited for | a command runs as late as it may: when something waits for it |
//! | an argument of another size, a group of another size than the kernel's | at the call |
//!
//! What it does not show: NVIDIA's front end and assembler, time, commands that run beside each other,
//! data in caches, and instructions that Clang did not write.
//!
//! | variable | meaning |
//! |---|---|
//! | `OPENCL_DYLIB_PATH` | read by the loader of `ringloom-ntt`: the file of this library |
//! | `RINGLOOM_CLANG`, `RINGLOOM_LIBCLC` | Clang 19 or newer and libclc's library for `nvptx64--nvidiacl`, where they are not at Debian's places |
//! | `RINGLOOM_PTX_FOLDER` | where compiled programs are kept; the folder for temporary files without it |
//! | `RINGLOOM_PTX_COUNTS` | a file to which counts are appended, one JSON object for each kernel, when a device is closed |
//! | `RINGLOOM_PTX_NO_RACES` | does not look for races in global memory, for runs that need its memory |
#![deny(unsafe_code)]
#![allow(clippy::print_stderr)] // a fault is for who runs the tests
#![allow(non_snake_case)]

mod api;
mod compile;
mod counts;
mod execute;
mod instruction;
mod lanes;
mod memory;
mod objects;
mod parse;
mod queue;
#[cfg(test)]
mod tests;

pub use api::*;
