//! Where cargo keeps the `rtrb` that the workspace uses.

use crate::texts::once;
use crate::{read, write};
use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package with this one dependency. Asked for the workspace, cargo would want all that any member needs on any system.
const ASKING: &str = "[package]\nname = \"asks-for-rtrb\"\nedition = \"2021\"\n\n[lib]\npath = \"lib.rs\"\n\n\
    [workspace]\n\n[dependencies]\nrtrb = \"=VERSION\"\n";

/// The `rtrb` of `Cargo.lock`.
pub struct Rtrb {
    /// Its version.
    pub version: String,
    /// Where its `Cargo.toml` is.
    pub folder: PathBuf,
}

impl Rtrb {
    /// Finds it. Cargo has fetched it before, since the library uses it.
    pub fn find(lock: &Path, out: &Path) -> Result<Self, String> {
        let version = locked(&read(lock)?)?;
        let asking = out.join("asks-for-rtrb");
        write(&asking.join("Cargo.toml"), &ASKING.replace("VERSION", &version))?;
        write(&asking.join("lib.rs"), "")?;
        let folder = kept(&metadata(&asking)?)
            .ok_or_else(|| format!("cargo does not say where it keeps rtrb {version}"))?;
        Ok(Self { version, folder })
    }
}

/// The version that `Cargo.lock` names.
fn locked(lock: &str) -> Result<String, String> {
    const BEFORE: &str = "name = \"rtrb\"\nversion = \"";
    let (_, after) = once("Cargo.lock", lock, BEFORE)?;
    Ok(after.split('"').next().unwrap_or_default().to_owned())
}

/// What cargo knows of a package, without the network.
fn metadata(package: &Path) -> Result<Value, String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(package).args(["metadata", "--offline", "--format-version", "1"]);
    let output = command.output().map_err(|why| format!("cargo metadata does not run: {why}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|why| format!("cargo metadata is no JSON: {why}"))
}

fn kept(metadata: &Value) -> Option<PathBuf> {
    let packages = metadata.get("packages")?.as_array()?;
    let rtrb = packages.iter().find(|package| package["name"] == "rtrb")?;
    Some(Path::new(rtrb["manifest_path"].as_str()?).parent()?.to_owned())
}
