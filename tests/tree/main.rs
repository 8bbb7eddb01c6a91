//! The shape of the source tree: dependencies between modules, sizes, abolished words, and the tests that SECURITY.md names.

mod dependencies;
mod paths;
mod security;
mod sizes;
mod source;
mod vocabulary;

/// Fails with the list of faults, unless it is empty.
fn assert_clean(faults: impl Iterator<Item = String>) {
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}
