//! Finds DPDK, binds the functions that are used, and compiles the shim. Writes only to the output directory.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const MIN_VERSION: &str = "22.11";

/// The functions that Rust calls. Inline functions and macros are called through the shim.
const FUNCTIONS: [&str; 8] = [
    "rte_eal_init",
    "rte_pktmbuf_pool_create",
    "rte_mempool_free",
    "rte_mempool_in_use_count",
    "rte_pktmbuf_free_bulk",
    "pfplane_shim_alloc_bulk",
    "pfplane_shim_data_room",
    "pfplane_shim_chain",
];

const LIBRARIES: [&str; 4] = ["rte_eal", "rte_mbuf", "rte_mempool", "rte_ring"];

fn main() {
    println!("cargo:rerun-if-changed=shim.c");
    println!("cargo:rerun-if-changed=shim.h");
    let found = pkg_config::Config::new()
        .atleast_version(MIN_VERSION)
        .cargo_metadata(false)
        .probe("libdpdk")
        .unwrap_or_else(|error| {
            panic!(
                "DPDK {MIN_VERSION} or later was not found: install it (Debian: apt-get install libdpdk-dev \
                 libclang-dev pkg-config) or build with --no-default-features ({error})"
            )
        });
    for path in &found.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    let log = if is_version_or_later(&found.version, 24, 11) { Some("rte_log") } else { None };
    for library in LIBRARIES.into_iter().chain(log) {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    let flags = compiler_flags();
    compile_shim(&flags);
    bind(&flags);
}

fn is_version_or_later(version: &str, major: u32, minor: u32) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let found: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found >= (major, minor)
}

/// Returns DPDK's compiler flags verbatim. The headers need `-include rte_config.h` and `-march`, which the `pkg-config`
/// crate does not return.
fn compiler_flags() -> Vec<String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(&program).args(["--cflags", "libdpdk"]).output();
    let output = output.unwrap_or_else(|error| panic!("{program} could not be run: {error}"));
    assert!(output.status.success(), "{program} --cflags libdpdk failed");
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

fn compile_shim(flags: &[String]) {
    let mut build = cc::Build::new();
    build.file("shim.c").warnings(true);
    for flag in flags {
        build.flag(flag);
    }
    build.compile("pfplane_dpdk_shim");
}

fn bind(flags: &[String]) {
    let mut builder = bindgen::Builder::default()
        .header("shim.h")
        .clang_args(flags)
        .use_core()
        .layout_tests(false)
        .generate_comments(false)
        .opaque_type("rte_mbuf")
        .opaque_type("rte_mempool")
        .rust_edition(bindgen::RustEdition::Edition2024)
        .wrap_unsafe_ops(true);
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bindings.rs");
    let bindings =
        builder.generate().unwrap_or_else(|error| panic!("DPDK's headers could not be read: {error}"));
    bindings.write_to_file(&out).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}
