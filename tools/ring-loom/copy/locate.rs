//! Locates the source of the `rtrb` that the workspace uses.

use crate::texts::once;
use crate::{read, write};
use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package with this one dependency. Metadata of the workspace would need the dependencies of all members on all systems.
const PACKAGE: &str = "[package]\nname = \"needs-rtrb\"\nedition = \"2021\"\n\n[lib]\npath = \"lib.rs\"\n\n\
    [workspace]\n\n[dependencies]\nrtrb = \"=VERSION\"\n";

/// The `rtrb` of `Cargo.lock`.
pub(crate) struct Rtrb {
    /// Its version.
    pub version: String,
    /// The folder of its `Cargo.toml`.
    pub folder: PathBuf,
}

impl Rtrb {
    /// Locates the version in `lock`. Cargo has it already, since the library uses it.
    pub(crate) fn locate(lock: &Path, out: &Path) -> Result<Self, String> {
        let version = locked_version(&read(lock)?)?;
        let package = out.join("needs-rtrb");
        write(&package.join("Cargo.toml"), &PACKAGE.replace("VERSION", &version))?;
        write(&package.join("lib.rs"), "")?;
        let folder = folder_of_rtrb(&metadata(&package)?)
            .ok_or_else(|| format!("cargo metadata does not name the folder of rtrb {version}"))?;
        Ok(Self { version, folder })
    }
}

/// Returns the version of `rtrb` in `Cargo.lock`.
fn locked_version(lock: &str) -> Result<String, String> {
    const PREFIX: &str = "name = \"rtrb\"\nversion = \"";
    let (_, after) = once("Cargo.lock", lock, PREFIX)?;
    Ok(after.split('"').next().unwrap_or_default().to_owned())
}

/// Returns cargo's metadata of a package, without the network.
fn metadata(package: &Path) -> Result<Value, String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(package).args(["metadata", "--offline", "--format-version", "1"]);
    let output = command.output().map_err(|why| format!("cannot run cargo metadata: {why}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|why| format!("cargo metadata is not JSON: {why}"))
}

fn folder_of_rtrb(metadata: &Value) -> Option<PathBuf> {
    let packages = metadata.get("packages")?.as_array()?;
    let rtrb = packages.iter().find(|package| package["name"] == "rtrb")?;
    Some(Path::new(rtrb["manifest_path"].as_str()?).parent()?.to_owned())
}
