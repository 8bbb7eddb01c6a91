//! Finds DPDK, binds exactly what is used, compiles the shim. Writes to the output directory only.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const MIN_VERSION: &str = "22.11";

/// What Rust calls. Cold functions by their own names; inline functions and macros go through the shim, once a burst.
const FUNCTIONS: [&str; 24] = [
    "rte_eal_init",
    "rte_eal_cleanup",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_pktmbuf_pool_create",
    "rte_mempool_free",
    "rte_mempool_avail_count",
    "rte_mempool_in_use_count",
    "rte_pktmbuf_free_bulk",
    "rte_hash_create",
    "rte_hash_free",
    "rte_hash_add_key_data",
    "rte_hash_add_key",
    "rte_hash_del_key",
    "rte_hash_lookup_bulk",
    "rte_hash_lookup_bulk_data",
    "rte_hash_lookup",
    "pfplane_shim_alloc_bulk",
    "pfplane_shim_data_room",
    "pfplane_shim_errno",
    "pfplane_shim_append",
    "pfplane_shim_chain",
    "pfplane_shim_hash_crc",
    "pfplane_shim_version",
];

const LIBRARIES: [&str; 5] = ["rte_eal", "rte_mbuf", "rte_mempool", "rte_ring", "rte_hash"];

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
    let log = if version_at_least(&found.version, 24, 11) { Some("rte_log") } else { None };
    for library in LIBRARIES.into_iter().chain(log) {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    let flags = compiler_flags();
    compile_shim(&flags);
    bind(&flags);
}

fn version_at_least(version: &str, major: u32, minor: u32) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let found: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found >= (major, minor)
}

/// DPDK's own flags, verbatim: `-include rte_config.h` is two words that must stay together, and without its `-march`
/// the headers do not compile. The `pkg-config` crate returns neither.
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
        .opaque_type("rte_hash")
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
