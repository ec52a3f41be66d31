"""The import checker must find what it is for, and nothing else."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import check_imports

BROKEN = {
    "ntt-kernels/src/poly/cmd.rs": ("use crate::device::Device;", "`poly` uses `device`"),
    "ntt-kernels/src/cpu/mod.rs": ("use crate::{arith::Modulus, ring::Ring};", "`cpu` uses `ring`"),
    "ntt-kernels/src/opencl/mod.rs": ("fn f() { super::ring::go() }", "`opencl` uses `ring`"),
    "ntt-kernels/src/reference/ntt.rs": (
        "use super::super::{poly::Cmd, cpu::*};",
        "`reference` uses `cpu`",
    ),
    "ntt-kernels/src/ring/front.rs": ("use crate::testing as t;", "`ring` uses `testing`"),
    "ntt-kernels/src/host_fft/mod.rs": ("type T = crate::poly::Shape;", "`host_fft` uses `poly`"),
    "ntt-kernels/src/arith/mod.rs": ("unsafe fn f() {}", "`unsafe` outside"),
    "ntt-kernels/src/misc/mod.rs": ("", "`misc` has no place"),
    "core/src/ckks/eval.rs": ("use crate::tfhe::Lut;", "`ckks` uses `tfhe`"),
    "core/src/rlwe/mod.rs": ("mod inner { use super::super::ckks::Scale; }", "`rlwe` uses `ckks`"),
    "core/src/params/mod.rs": ("use ringloom_ntt::{Ring, cpu::Isa};", "names `ringloom_ntt::cpu`"),
    "core/src/model/run.rs": ("use ringloom_fpga::Card;", "names `ringloom_fpga`"),
}
SOUND = {
    "ntt-kernels/src/lib.rs": "pub mod cpu; pub use crate::{ring::Ring, testing::Dual};",
    "ntt-kernels/src/cpu/mod.rs": """
        //! Below [`crate::ring`].
        use crate::{device::Device, error::Error, poly::{Cmd, Shape}};
        /* use crate::ring::Ring; /* nested */ use crate::testing::X; */
        const TEXT: &str = "crate::ring::Ring { unsafe";
        const BRACE: (char, &str) = ('{', r#"crate::"ring::x"#);
        fn f<'a>(x: &'a str) {}
        #[cfg(test)]
        use crate::ring::Ring;
        #[cfg(test)]
        mod tests { use crate::ring::Ring; fn g() { crate::testing::run() } }
        mod isa { use super::super::poly::Cmd; }
    """,
    "ntt-kernels/src/cpu/isa/avx2.rs": "unsafe fn f() {}",
    "core/src/lib.rs": "#![forbid(unsafe_code)]",
    "core/src/serial/mod.rs": "use crate::params::Params; use super::error::Error;",
    "core/src/rlwe/tests.rs": "use crate::ckks::Scale; use ringloom_ntt::cpu::Isa;",
    "core/src/ckks/mod.rs": "use ringloom_ntt::{Ring, poly}; use crate::rlwe::SecretKey as Key;",
}


def problems(files: dict[str, str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        folders = {name.split("/")[0] for name in files}
        return [p for f in sorted(folders) for p in check_imports.check_crate(root, f)]


class Checker(unittest.TestCase):
    def test_finds_every_broken_rule(self) -> None:
        for name, (text, want) in BROKEN.items():
            with self.subTest(name):
                found = problems({name: text})
                assert len(found) == 1, found
                assert want in found[0]
                assert found[0].startswith(name)

    def test_accepts_sound_sources(self) -> None:
        assert problems(SOUND) == []


if __name__ == "__main__":
    unittest.main()
