//! Gives the shared library its soname, so that a program linked with one version of the ABI never loads another.

use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={VERSION}");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libpfplane.so.{}", abi_version());
    }
}

/// The file that defines `PFPLANE_ABI_VERSION`. The number stands there only.
const VERSION: &str = "src/ffi/version.rs";

fn abi_version() -> String {
    let text = fs::read_to_string(VERSION).unwrap_or_else(|error| panic!("{VERSION}: {error}"));
    let mut lines =
        text.lines().filter_map(|line| line.strip_prefix("pub const PFPLANE_ABI_VERSION: u32 = "));
    let number = lines.next().and_then(|rest| rest.strip_suffix(';'));
    number
        .unwrap_or_else(|| panic!("{VERSION} does not define PFPLANE_ABI_VERSION as a plain number"))
        .to_owned()
}
