//! Copies the text of `rtrb` and of our ends of the rings, with loom's atomics and watched slots, once for each capacity and
//! once for each thing that is broken on purpose.
//!
//! ```text
//!  Cargo.lock --> find: version, folder --> texts: loom's atomics, slots --> copies: one weakening --> OUT_DIR/<copy>/
//! ```
//!
//! Each replacement has to find its words exactly once. So a text that has changed ends the build with a sentence, and is
//! not checked half.

mod copies;
mod find;
mod texts;

use copies::{COPIES, Copy};
use find::Rtrb;
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

/// Makes all copies, and the file that names them.
fn copy_all() -> Result<(), String> {
    let (package, out) = (folder("CARGO_MANIFEST_DIR")?, folder("OUT_DIR")?);
    let root = package.join("../..");
    let rtrb = Rtrb::find(&root.join("Cargo.lock"), &out)?;
    println!("cargo:rustc-env=RTRB_VERSION={}", rtrb.version);
    let read_edited = |text: Text| {
        let place = text.place();
        let folder = if place.is_of_rtrb { &rtrb.folder } else { &root };
        text.edit(&read(&folder.join(place.path))?)
    };
    let scenarios = read(&package.join("src/scenarios.rs"))?;
    let mut modules = String::new();
    for copy in COPIES {
        let folder = out.join(copy.name);
        for text in Text::ALL {
            write(&folder.join(text.place().copied_to), &copy.weaken(text, read_edited(text)?)?)?;
        }
        write(&folder.join("scenarios.rs"), &scenarios)?;
        modules += &module(copy, &folder, &rtrb.version);
    }
    write(&out.join("copies.rs"), &modules)
}

/// What `copies.rs` says of a copy.
fn module(copy: &Copy, folder: &Path, version: &str) -> String {
    let Copy { name, capacity, .. } = copy;
    let mut text =
        format!("/// Rings of {capacity}.\npub mod {name} {{\n    const CAPACITY: usize = {capacity};\n");
    for (module, file) in [("aliases", "aliases.rs"), ("rings", "rings.rs"), ("scenarios", "scenarios.rs")] {
        _ = writeln!(text, "    #[path = {:?}]\n    pub mod {module};", folder.join(file));
    }
    let rtrb = folder.join(Text::Rtrb.place().copied_to);
    _ = writeln!(text, "    /// `rtrb` {version}.\n    #[path = {rtrb:?}]\n    pub mod rtrb;\n}}");
    text
}

fn folder(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo has not set {variable}"))
}

/// Reads a file, whose changes ask for new copies from now on.
fn read(path: &Path) -> Result<String, String> {
    println!("cargo:rerun-if-changed={}", path.display());
    fs::read_to_string(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|why| format!("{} cannot be written: {why}", path.display()))
}
