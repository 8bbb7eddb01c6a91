//! Builds the shims for the hash tables that are installed. The benches report and skip the others.

use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(peer_dpdk, peer_absl, peer_boost)");
    println!("cargo::rerun-if-changed=peers");
    dpdk();
    absl();
    boost();
}

fn dpdk() {
    let Ok(library) = pkg_config::Config::new().cargo_metadata(false).probe("libdpdk") else { return };
    let mut build = cc::Build::new();
    // DPDK's headers use SSE 4.2 inline. Only rte_hash runs this code.
    build
        .file("peers/rte.c")
        .includes(&library.include_paths)
        .flag("-march=x86-64-v2")
        .flag("-Wno-deprecated");
    build.opt_level(3).compile("peer_dpdk");
    for path in &library.link_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    for name in ["rte_hash", "rte_ring", "rte_eal", "rte_rcu"] {
        println!("cargo::rustc-link-lib={name}");
    }
    println!("cargo::rustc-cfg=peer_dpdk");
}

fn absl() {
    // Abseil may be a static library, whose link order matters, so use pkg-config.
    if pkg_config::Config::new().probe("absl_flat_hash_map").is_err()
        || pkg_config::probe_library("absl_hash").is_err()
    {
        return;
    }
    maps("peer_absl", "peers/absl.cc");
}

fn boost() {
    let header = "boost/unordered/unordered_flat_map.hpp";
    if ["/usr/include", "/usr/local/include"].iter().any(|folder| Path::new(folder).join(header).exists()) {
        maps("peer_boost", "peers/boost.cc");
    }
}

fn maps(name: &str, file: &str) {
    cc::Build::new().cpp(true).std("c++17").file(file).opt_level(3).flag("-march=x86-64-v2").compile(name);
    println!("cargo::rustc-cfg={name}");
}
