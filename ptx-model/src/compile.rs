//! From OpenCL C to PTX, by Clang. NVIDIA's driver has a front end of its own.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
};

/// Least of the architectures that the kernels are checked for.
const ARCHITECTURE: &str = "sm_80";

/// The PTX of a program, from the folder of programs made before or made now.
///
/// # Errors
/// What Clang says.
pub(crate) fn compile(source: &str, options: &str) -> Result<String, String> {
    // Unoptimised code calls functions and keeps everything in memory; its results are the same.
    let options: Vec<&str> = (options.split_whitespace())
        .filter(|option| *option != "-cl-opt-disable")
        .collect();
    let key = blake3::hash(format!("3\n{}\n{source}", options.join(" ")).as_bytes()).to_hex();
    let folder = env::var_os("RINGLOOM_PTX_FOLDER")
        .map_or_else(|| env::temp_dir().join("ringloom-ptx"), PathBuf::from);
    let made = folder.join(format!("{key}.ptx"));
    if let Ok(ptx) = fs::read_to_string(&made) {
        return Ok(ptx);
    }
    // Others may be making the same program, in this process, too.
    let maker = format!("{}-{:?}", process::id(), thread::current().id());
    let part = |extension: &str| folder.join(format!("{key}.{maker}.{extension}"));
    let ptx = make(source, &options, &part).map_err(|error| format!("error: {error}"))?;
    // Beside its place and renamed, so that nobody reads half of it.
    let finished = part("made");
    fs::write(&finished, &ptx)
        .and_then(|()| fs::rename(&finished, &made))
        .map_err(|error| format!("error: {}: {error}", made.display()))?;
    Ok(ptx)
}

fn make(source: &str, options: &[&str], part: &dyn Fn(&str) -> PathBuf) -> Result<String, String> {
    let [text, ir, ptx] = ["cl", "ll", "ptx"].map(part);
    let failed = |error: std::io::Error| format!("{}: {error}", text.display());
    fs::create_dir_all(text.parent().expect("a file in a folder")).map_err(failed)?;
    fs::write(&text, source).map_err(failed)?;
    let library = env::var("RINGLOOM_LIBCLC");
    let library = library
        .as_deref()
        .unwrap_or("/usr/lib/clc/nvptx64--nvidiacl.bc");
    let clang = || {
        let mut clang = Command::new(env::var_os("RINGLOOM_CLANG").unwrap_or("clang-19".into()));
        clang.args(["--target=nvptx64-nvidia-nvcl", "-Xclang", "-target-cpu"]);
        clang.args(["-Xclang", ARCHITECTURE, "-O3", "-S"]);
        clang.args(["-Wno-linker-warnings", "-Wno-override-module"]);
        clang
    };
    let mut front = clang();
    front.args(["-x", "cl"]).args(options).arg("-emit-llvm");
    front.args(["-Xclang", "-mlink-builtin-bitcode", "-Xclang", library]);
    // As NVIDIA's compilers do, which call functions only where they must.
    front.args(["-mllvm", "-inline-threshold=100000"]);
    run(front.arg("-o").args([&ir, &text]))?;
    let mut back = clang();
    back.args(["-Xclang", "-disable-llvm-passes", "-o"]);
    run(back.args([&ptx, &ir]))?;
    let read = |file: &Path| fs::read_to_string(file).map_err(failed);
    let (made, ir_text) = (read(&ptx)?, read(&ir)?);
    for file in [text, ir, ptx] {
        let _ = fs::remove_file(file);
    }
    Ok(with_group_sizes(&made, &ir_text))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program}: {}",
        String::from_utf8_lossy(&done.stderr).trim()
    ))
}

/// The PTX with the sizes of groups that its source requires, which Clang does not write.
fn with_group_sizes(ptx: &str, ir: &str) -> String {
    let metadata: HashMap<&str, &str> = (ir.lines())
        .filter_map(|line| line.strip_prefix('!')?.split_once(" = "))
        .collect();
    let mut sizes = HashMap::new();
    for line in ir.lines().filter(|line| line.starts_with("define ")) {
        let name = line
            .split_once('@')
            .and_then(|(_, rest)| rest.split_once('('));
        let node = line.split_once("!reqd_work_group_size !");
        if let (Some((name, _)), Some((_, node))) = (name, node) {
            let node = node.split([' ', '{']).next().unwrap_or_default();
            let items = metadata.get(node).map(|items| {
                let items = items.trim_start_matches("!{").trim_end_matches('}');
                let numbers = items
                    .split(',')
                    .filter_map(|item| item.split_whitespace().nth(1));
                numbers.collect::<Vec<_>>().join(", ")
            });
            sizes.insert(name, items.unwrap_or_default());
        }
    }
    let mut text = String::new();
    let mut pending = None;
    for line in ptx.lines() {
        if let Some((_, name)) = line.split_once(".entry ") {
            pending = sizes.get(name.trim_end_matches(['(', ')']));
        }
        if let ("{", Some(items)) = (line, pending) {
            text.push_str(&format!(".reqntid {items}\n"));
            pending = None;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}
