//! `cargo xtask plugins`: builds the Rust guests of the checkout from source. Two workspaces, each beside a `dist`
//! folder that gets one component for each package with a `cdylib` target. What is up to date is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::wasm_target::{TRIPLE, WasmTarget};
use crate::{checkout, component};

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Build only these
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Args {
    /// Only these.
    pub(crate) fn only(names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { names }
    }
}

/// A workspace of guests.
struct Workspace {
    folder: PathBuf,
    /// Whether its components must fit a world of the contract exactly. Test guests may break the rules: that is their job.
    strict: bool,
}

/// A package that becomes a component.
struct Guest {
    name: String,
    /// The core module that cargo makes of it.
    core: PathBuf,
    /// The component that we make of that.
    component: PathBuf,
}

/// Builds every guest, or those named.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = checkout::root();
    let workspaces = [
        Workspace {
            folder: root.join("plugins"),
            strict: true,
        },
        Workspace {
            folder: root.join("tests/guests"),
            strict: false,
        },
    ];
    let mut wanted = Vec::new();
    for workspace in workspaces {
        let guests = guests_of(&workspace)?;
        wanted.push((workspace, guests));
    }
    refuse_unknown_names(&args.names, &wanted)?;
    for (_, guests) in &mut wanted {
        guests.retain(|guest| args.names.is_empty() || args.names.contains(&guest.name));
    }
    wanted.retain(|(_, guests)| !guests.is_empty());

    let target = WasmTarget::find_or_prepare()?;
    for (workspace, guests) in &wanted {
        compile(workspace, guests, &target)?;
        for guest in guests {
            update_component(workspace, guest)
                .with_context(|| format!("{}: no component was made", guest.name))?;
        }
    }
    Ok(())
}

fn refuse_unknown_names(names: &[String], built: &[(Workspace, Vec<Guest>)]) -> Result<()> {
    let known: Vec<&str> = built
        .iter()
        .flat_map(|(_, guests)| guests.iter().map(|guest| guest.name.as_str()))
        .collect();
    for name in names {
        if !known.contains(&name.as_str()) {
            bail!(
                "there is no plugin or test guest `{name}`; there are: {}",
                known.join(", ")
            );
        }
    }
    Ok(())
}

/// The folder that cargo builds guests in: below the host's own, so that one ignore line and one `rm` cover both.
fn target_folder() -> PathBuf {
    checkout::root().join("target/guests")
}

fn guests_of(workspace: &Workspace) -> Result<Vec<Guest>> {
    let metadata = checkout::output_of(
        checkout::cargo()
            .args([
                "metadata",
                "--no-deps",
                "--format-version=1",
                "--manifest-path",
            ])
            .arg(workspace.folder.join("Cargo.toml")),
    )?;
    let metadata: Value = serde_json::from_str(&metadata).context("cannot read cargo metadata")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut guests: Vec<Guest> = packages
        .filter_map(|package| {
            let library = cdylib_of(package)?;
            let name = package["name"].as_str()?;
            Some(Guest {
                name: name.to_owned(),
                core: target_folder()
                    .join(TRIPLE)
                    .join("release")
                    .join(format!("{library}.wasm")),
                component: workspace.folder.join("dist").join(format!("{name}.wasm")),
            })
        })
        .collect();
    guests.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(guests)
}

/// The name of a package's `cdylib` target as a file, if it has one.
fn cdylib_of(package: &Value) -> Option<String> {
    let targets = package["targets"].as_array()?;
    let library = targets.iter().find(|target| {
        let mut crate_types = target["crate_types"].as_array().into_iter().flatten();
        crate_types.any(|crate_type| crate_type == "cdylib")
    })?;
    Some(library["name"].as_str()?.replace('-', "_"))
}

fn compile(workspace: &Workspace, guests: &[Guest], target: &WasmTarget) -> Result<()> {
    let shown = checkout::shown(&workspace.folder);
    let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
    eprintln!("{shown}: building {}", names.join(", "));
    let mut cargo = checkout::cargo();
    cargo
        .args(["build", "--release", "--target", TRIPLE])
        .arg("--manifest-path")
        .arg(workspace.folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target_folder());
    for name in names {
        cargo.args(["--package", name]);
    }
    target.apply_to(&mut cargo);
    checkout::run(&mut cargo).with_context(|| format!("{shown}: the guests do not compile"))
}

/// Makes the component anew if its module, or this xtask, is younger.
fn update_component(workspace: &Workspace, guest: &Guest) -> Result<()> {
    let shown = checkout::shown(&guest.component);
    let made_from = modified(&guest.core)?.max(modified(&std::env::current_exe()?)?);
    if guest.component.exists() && modified(&guest.component)? >= made_from {
        eprintln!("  {shown} is up to date");
        return Ok(());
    }
    let core = fs::read(&guest.core)
        .with_context(|| format!("cannot read {}", checkout::shown(&guest.core)))?;
    let bytes = component::encode(&core)?;
    if workspace.strict {
        component::check_world(&bytes, &checkout::root().join("wit"))?;
    }
    replace(&guest.component, &bytes).with_context(|| format!("cannot write {shown}"))?;
    eprintln!("  {shown} {} KiB", bytes.len().div_ceil(1024));
    Ok(())
}

fn modified(path: &Path) -> Result<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .with_context(|| format!("cannot read {}", checkout::shown(path)))
}

/// Puts a whole file in place of another: a host that watches the folder never sees half of it.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("the file has no folder")?;
    fs::create_dir_all(folder)?;
    let whole = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&whole, bytes)?;
    fs::rename(&whole, path)?;
    Ok(())
}
