//! Builds what is simulated: the HLS kernels with the host's C++ compiler (feature `csim`), the RTL
//! twin with Verilator (feature `rtl`).
//!
//! With `RINGLOOM_CHECK_ONLY` in the environment nothing is built: linting and documentation link nothing,
//! and the simulators take minutes.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(rtl_built)");
    println!("cargo::rerun-if-env-changed=RINGLOOM_CHECK_ONLY");
    if std::env::var_os("RINGLOOM_CHECK_ONLY").is_some() {
        println!("cargo::rerun-if-changed=build.rs");
        #[cfg(feature = "rtl")]
        println!("cargo::rustc-cfg=rtl_built");
        return;
    }
    #[cfg(feature = "csim")]
    csim();
    #[cfg(feature = "rtl")]
    rtl();
}

/// Kernels that are built: name, width of words, butterflies.
#[cfg(feature = "csim")]
fn csim() {
    println!("cargo::rerun-if-changed=hls");
    let all = [
        ("p4", 50, 4),
        ("p8", 50, 8),
        ("p16", 50, 16),
        ("p32", 50, 32),
        ("w32p8", 32, 8),
    ];
    for (id, bits, p) in all {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .cpp_link_stdlib(None) // the kernels and the shim need none
            .flag("-fno-exceptions")
            .flag("-fno-rtti")
            .flag("-Wno-unknown-pragmas")
            .opt_level(3)
            .debug(false) // much of the compiler's time, and nobody steps through it
            .define("NDEBUG", None)
            .define("RINGLOOM_P", p.to_string().as_str())
            .define("RINGLOOM_WORD_BITS", bits.to_string().as_str())
            .define("RINGLOOM_ID", id)
            .define("ringloom", format!("ringloom_{id}").as_str())
            .include("hls/include")
            .include("hls/shim")
            .file("hls/csim/csim.cpp");
        build.compile(&format!("ringloom_csim_{id}"));
    }
}

/// The simulated cores. Without Verilator the crate builds, and opening `fpga-rtl` says what is
/// missing.
#[cfg(feature = "rtl")]
fn rtl() {
    use std::process::Command;
    const SOURCES: [&str; 3] = ["mulmod", "butterfly", "core"];
    println!("cargo::rerun-if-changed=rtl/sim.cpp");
    for file in SOURCES {
        println!("cargo::rerun-if-changed=rtl/ringloom_{file}.sv");
    }
    let getenv = ["--getenv", "VERILATOR_ROOT"];
    let Ok(root) = Command::new("verilator").args(getenv).output() else {
        println!("cargo::warning=verilator is not installed: fpga-rtl is left out");
        return;
    };
    let root = String::from_utf8_lossy(&root.stdout).trim().to_owned();
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    // The last one does not wait for its pipeline between stages: tests expect to find out.
    let narrow: &[&str] = &["-GW=32", "-GSTEP=16", "-GROUNDS=2"];
    let models: [(&str, u32, u32, &[&str]); 6] = [
        ("p4", 50, 4, &[]),
        ("p8", 50, 8, &[]),
        ("p16", 50, 16, &[]),
        ("p32", 50, 32, &[]),
        ("w32p8", 32, 8, narrow),
        ("faulty", 50, 16, &["-GDRAIN=1"]),
    ];
    let include = format!("{root}/include");
    let mut runtime = cc::Build::new();
    runtime.cpp(true).std("c++17").warnings(false);
    runtime.opt_level(1).debug(false);
    runtime
        .include(&include)
        .include(format!("{include}/vltstd"));
    for (id, bits, p, parameters) in models {
        let (class, folder) = (format!("Vcore_{id}"), format!("{out}/rtl_{id}"));
        let _ = std::fs::remove_dir_all(&folder);
        let mut verilator = Command::new("verilator");
        verilator
            .args(["--cc", "-O3", "--no-timing", "--noassert", "-Wno-WIDTH"])
            .args(["--x-assign", "fast", "--x-initial", "fast"])
            .args(["--top-module", "ringloom_core", "--prefix", &class])
            .args(["--Mdir", &folder, &format!("-GP={p}")])
            .args(parameters);
        for file in SOURCES {
            verilator.arg(format!("rtl/ringloom_{file}.sv"));
        }
        let status = verilator.status();
        assert!(
            status.is_ok_and(|s| s.success()),
            "verilator does not take rtl/*.sv; its message is above"
        );
        let mut build = runtime.clone();
        build
            .include(&folder)
            .include("hls/include")
            .include("hls/shim")
            .define("RINGLOOM_ID", id)
            .define("RINGLOOM_P", p.to_string().as_str())
            .define("RINGLOOM_WORD_BITS", bits.to_string().as_str())
            .define("ringloom", format!("ringloom_rtl_{id}").as_str())
            .define("RINGLOOM_MODEL", class.as_str())
            .define("RINGLOOM_MODEL_HEADER", format!("\"{class}.h\"").as_str())
            .file("rtl/sim.cpp");
        build.file(one_file(&folder));
        build.compile(&format!("ringloom_rtl_{id}"));
    }
    for file in ["verilated.cpp", "verilated_threads.cpp"] {
        runtime.file(format!("{include}/{file}"));
    }
    runtime.compile("ringloom_verilated");
    println!("cargo::rustc-cfg=rtl_built");
}

/// A file that includes all that Verilator wrote for a model, as its own makefiles do: most of the time
/// of one of its files goes into the same headers.
#[cfg(feature = "rtl")]
fn one_file(folder: &str) -> String {
    let entries = std::fs::read_dir(folder).expect("verilator made it");
    let names = entries.map(|entry| entry.expect("it is readable").file_name());
    let mut names: Vec<_> = (names.filter_map(|name| name.into_string().ok()))
        .filter(|name| name.ends_with(".cpp"))
        .collect();
    names.sort();
    let includes: String = names
        .iter()
        .map(|name| format!("#include \"{name}\"\n"))
        .collect();
    let path = format!("{folder}/all.cpp");
    std::fs::write(&path, includes).expect("the folder of the build is writable");
    path
}
