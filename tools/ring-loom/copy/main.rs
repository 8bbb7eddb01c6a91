//! Copies the source of our channel and of the lanes' ends of the rings, with loom's atomics and observed slots: once for each capacity,
//! and once for each thing that is broken on purpose.
//!
//! ```text
//!  src/ --> texts: loom's atomics, slots --> copies: one weakening --> OUT_DIR/<copy>/
//! ```
//!
//! Each replacement must find its words exactly once. So the build fails with a message when a source has changed.

mod copies;
mod texts;

use copies::{COPIES, Copy};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};
use texts::Text;

fn main() -> ExitCode {
    match copy_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Writes all copies, and the file that lists them.
fn copy_all() -> Result<(), String> {
    let (package, out) = (folder("CARGO_MANIFEST_DIR")?, folder("OUT_DIR")?);
    let root = package.join("../..");
    let read_edited = |text: Text| text.edit(&read(&root.join(text.path()))?);
    let scenarios = read(&package.join("src/scenarios.rs"))?;
    let mut modules = String::new();
    for copy in COPIES {
        let folder = out.join(copy.name);
        for text in Text::ALL {
            write(&folder.join(text.module()).with_extension("rs"), &copy.weaken(text, read_edited(text)?)?)?;
        }
        write(&folder.join("scenarios.rs"), &scenarios)?;
        modules += &module(copy, &folder);
    }
    write(&out.join("copies.rs"), &modules)
}

/// Returns the module of a copy in `copies.rs`.
fn module(copy: &Copy, folder: &Path) -> String {
    let Copy { name, capacity, .. } = copy;
    let mut text =
        format!("/// Rings of {capacity}.\npub mod {name} {{\n    const CAPACITY: usize = {capacity};\n");
    for module in Text::ALL.map(Text::module).into_iter().chain(["scenarios"]) {
        let file = folder.join(module).with_extension("rs");
        _ = writeln!(text, "    #[path = {file:?}]\n    pub mod {module};");
    }
    text + "}\n"
}

fn folder(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {variable}"))
}

/// Reads a file. A change to it runs this script again.
fn read(path: &Path) -> Result<String, String> {
    println!("cargo:rerun-if-changed={}", path.display());
    fs::read_to_string(path).map_err(|why| format!("cannot read {}: {why}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let created = path.parent().map_or(Ok(()), fs::create_dir_all);
    created
        .and_then(|()| fs::write(path, text))
        .map_err(|why| format!("cannot write {}: {why}", path.display()))
}
