//! A bitstream's container without a bitstream, for AMD's driver in its mode without hardware:
//! kernels, arguments and one memory, as `v++` describes them (`xclbin.h` of XRT 2.13).

use crate::layout::{ARGUMENTS, Kernel, register_named};

const METADATA: u32 = 2;
const MEMORY: u32 = 6;
const CONNECTIVITY: u32 = 7;
const IPS: u32 = 8;
/// Bytes of the header, and of one section's.
const HEADER: usize = 456;
const SECTION: usize = 40;

/// The container. `adjust` may change the offset of an argument (kernel, name, offset).
pub(crate) fn container(kernels: &[Kernel], adjust: impl Fn(Kernel, &str, u32) -> u32) -> Vec<u8> {
    let sections = [
        (METADATA, metadata(kernels, adjust).into_bytes()),
        (MEMORY, memory()),
        (IPS, ips(kernels)),
        (CONNECTIVITY, connectivity(kernels)),
    ];
    let first = HEADER + SECTION * sections.len();
    let (mut headers, mut bodies) = (Vec::new(), Vec::new());
    for (kind, bytes) in &sections {
        headers.extend(kind.to_le_bytes());
        headers.extend([0; 20]); // name, padding
        word(&mut headers, (first + bodies.len()) as u64);
        word(&mut headers, bytes.len() as u64);
        bodies.extend(bytes);
        bodies.resize(bodies.len().next_multiple_of(8), 0);
    }
    let mut out = b"xclbin2\0".to_vec();
    out.extend((-1i32).to_le_bytes()); // no signature
    out.extend([0xff; 28]);
    out.extend([0; 256]);
    word(&mut out, 1); // identifier
    word(&mut out, (first + bodies.len()) as u64);
    out.extend([0; 16]); // times
    out.extend([0, 0, 2, 13]); // version
    out.extend([0; 4 + 16]); // mode, actions, platform
    out.extend(name::<64>("none"));
    out.extend(1..=16u8); // UUID
    out.extend([0; 16]);
    out.extend((sections.len() as u32).to_le_bytes());
    out.extend([0; 4]);
    assert_eq!(out.len(), HEADER);
    out.extend(headers);
    out.extend(bodies);
    out
}

fn word(out: &mut Vec<u8>, value: u64) {
    out.extend(value.to_le_bytes());
}

fn int(out: &mut Vec<u8>, value: usize) {
    out.extend((value as u32).to_le_bytes());
}

fn name<const LEN: usize>(text: &str) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

fn is_pointer(argument: &str) -> bool {
    matches!(argument, "source" | "target")
}

fn metadata(kernels: &[Kernel], adjust: impl Fn(Kernel, &str, u32) -> u32) -> String {
    let mut xml = String::from(
        r#"<?xml version="1.0"?><project name="ringloom"><platform vendor="none" boardid="none" name="none"><device name="fpga0"><core name="OCL_REGION_0" target="bitstream" type="clc_region">"#,
    );
    for &kernel in kernels {
        let top = kernel.top();
        xml += &format!(
            r#"<kernel name="{top}" language="c" type="pl"><port name="M_AXI" mode="master" range="0xFFFFFFFF" dataWidth="512" portType="addressable" base="0x0"/><port name="S_AXI" mode="slave" range="0x1000" dataWidth="32" portType="addressable" base="0x0"/>"#
        );
        for (id, argument) in ARGUMENTS.iter().enumerate() {
            let register = register_named(argument);
            let offset = adjust(kernel, argument, register.offset);
            let size = register.bits / 8;
            let (qualifier, port, kind) = if is_pointer(argument) {
                (1, "M_AXI", "beat*")
            } else {
                (0, "S_AXI", "unsigned")
            };
            xml += &format!(
                r#"<arg name="{argument}" addressQualifier="{qualifier}" id="{id}" port="{port}" size="{size:#x}" offset="{offset:#x}" hostOffset="0x0" hostSize="{size:#x}" type="{kind}"/>"#
            );
        }
        xml += &format!(
            r#"<instance name="{top}_1"><addrRemap base="0x1800000" port="S_AXI"/></instance></kernel>"#
        );
    }
    xml + "</core></device></platform></project>"
}

/// One memory of a gigabyte.
fn memory() -> Vec<u8> {
    const HBM: u8 = 6;
    let mut out = Vec::new();
    int(&mut out, 1);
    out.extend([0; 4]);
    out.extend([HBM, 1, 0, 0, 0, 0, 0, 0]);
    word(&mut out, 1 << 20); // KiB
    word(&mut out, 0);
    out.extend(name::<16>("HBM[0]"));
    out
}

fn ips(kernels: &[Kernel]) -> Vec<u8> {
    const KERNEL: usize = 1;
    let mut out = Vec::new();
    int(&mut out, kernels.len());
    out.extend([0; 4]);
    for (i, kernel) in kernels.iter().enumerate() {
        int(&mut out, KERNEL);
        int(&mut out, 0);
        word(&mut out, 0x180_0000 + 0x1_0000 * i as u64);
        out.extend(name::<64>(&format!("{0}:{0}_1", kernel.top())));
    }
    out
}

/// Every pointer reaches the one memory.
fn connectivity(kernels: &[Kernel]) -> Vec<u8> {
    let pointers: Vec<usize> = (0..ARGUMENTS.len())
        .filter(|&i| is_pointer(ARGUMENTS[i]))
        .collect();
    let mut out = Vec::new();
    int(&mut out, kernels.len() * pointers.len());
    for kernel in 0..kernels.len() {
        for &argument in &pointers {
            [argument, kernel, 0]
                .iter()
                .for_each(|&value| int(&mut out, value));
        }
    }
    out
}
