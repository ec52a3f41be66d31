//! Builds the HLS kernels with the host's C++ compiler (feature `csim`).

fn main() {
    #[cfg(feature = "csim")]
    csim();
}

/// One library with the kernels for every number of butterflies; names carry the number.
#[cfg(feature = "csim")]
fn csim() {
    println!("cargo::rerun-if-changed=hls");
    for p in [4, 8, 16, 32] {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .cpp_link_stdlib(None) // the kernels and the shim need none
            .flag("-fno-exceptions")
            .flag("-fno-rtti")
            .flag("-Wno-unknown-pragmas")
            .opt_level(3)
            .define("NDEBUG", None)
            .define("RINGLOOM_P", p.to_string().as_str())
            .define("ringloom", format!("ringloom_p{p}").as_str())
            .include("hls/include")
            .include("hls/shim")
            .file("hls/csim/csim.cpp");
        build.compile(&format!("ringloom_csim_p{p}"));
    }
}
