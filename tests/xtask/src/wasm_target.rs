//! Finds a rustc that can compile for wasm32-unknown-unknown: the usual one, if its target is installed; else Debian's,
//! unpacked into the user's cache folder and never installed, with a standard library compiled there once.
//!
//! The cache lies outside the checkout, so a fresh clone does not pay for it again.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::checkout;

/// What guests are compiled for: no WASI, so a guest reaches nothing but what its WIT world gives it.
pub(crate) const TRIPLE: &str = "wasm32-unknown-unknown";

/// The packages to start from; those they need follow.
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// What the guests' manifests ask for.
const RUST_VERSION_MIN: &str = env!("CARGO_PKG_RUST_VERSION");

/// Counts up whenever `prepare` changes what it leaves behind.
const CACHE_FORMAT: u32 = 1;

/// A way to compile for [`TRIPLE`].
pub(crate) enum WasmTarget {
    /// The toolchain at hand has the target.
    Installed,
    /// Debian's rustc, unpacked.
    Unpacked { folder: PathBuf, linker: PathBuf },
}

impl WasmTarget {
    /// Finds the way that works on this machine. May take some minutes the first time.
    pub(crate) fn find_or_prepare() -> Result<Self> {
        let libraries = checkout::output_of(Command::new(rustc()).args([
            "--print",
            "target-libdir",
            "--target",
            TRIPLE,
        ]))?;
        if has_std(Path::new(libraries.trim())) {
            return Ok(Self::Installed);
        }
        Self::find_or_unpack().map_err(|error| {
            anyhow!(
                "this Rust cannot compile for {TRIPLE}: run `rustup target add {TRIPLE}`, then try again (the other \
                 way, Debian's Rust, failed too: {error:#})"
            )
        })
    }

    /// Makes a cargo command use it.
    pub(crate) fn apply_to(&self, cargo: &mut Command) {
        let Self::Unpacked { folder, linker } = self else {
            return;
        };
        cargo
            .env("RUSTC", debian_rustc(folder))
            .env("LD_LIBRARY_PATH", library_path(folder))
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }

    fn find_or_unpack() -> Result<Self> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!("Debian's packages could serve on x86-64 Linux only");
        }
        let linker = host_libraries()?.join("../bin/rust-lld");
        if !linker.exists() {
            bail!("this Rust has no rust-lld, which is needed to link {TRIPLE}");
        }
        let cache = cache_folder()?;
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        let folder = cache.join(format!("rust-wasm32-v{CACHE_FORMAT}"));
        if !is_ready(&folder) {
            // One xtask prepares, others wait for it. The rename comes last: a folder of that name is complete.
            let lock = File::create(cache.join("rust-wasm32.lock"))?;
            if lock.try_lock().is_err() {
                eprintln!("waiting for another xtask that prepares {TRIPLE}");
                lock.lock().context("cannot lock the cache folder")?;
            }
            if !is_ready(&folder) {
                let unfinished = folder.with_extension("unfinished");
                prepare(&unfinished, &linker)
                    .with_context(|| format!("cannot prepare {}", folder.display()))?;
                if folder.exists() {
                    fs::remove_dir_all(&folder)?;
                }
                fs::rename(&unfinished, &folder)?;
            }
        }
        Ok(Self::Unpacked { folder, linker })
    }
}

fn rustc() -> std::ffi::OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

fn has_std(libraries: &Path) -> bool {
    let files = fs::read_dir(libraries).into_iter().flatten().flatten();
    files
        .map(|file| file.file_name())
        .any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// Where the rustc at hand keeps the libraries of the machine itself.
fn host_libraries() -> Result<PathBuf> {
    let path = checkout::output_of(Command::new(rustc()).args(["--print", "target-libdir"]))?;
    Ok(PathBuf::from(path.trim()))
}

fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = match base {
        Some(base) => base,
        None => std::env::home_dir()
            .context("neither XDG_CACHE_HOME nor HOME is set")?
            .join(".cache"),
    };
    Ok(base.join("quartermaster"))
}

/// Whether the folder holds a rustc that the guests' manifests accept. One that was unpacked for an older version of this
/// project need not be.
fn is_ready(folder: &Path) -> bool {
    let mut rustc = Command::new(debian_rustc(folder));
    let told = checkout::output_of(
        rustc
            .arg("--version")
            .env("LD_LIBRARY_PATH", library_path(folder)),
    );
    told.is_ok_and(|told| version_in(&told) >= version_in(RUST_VERSION_MIN))
}

/// The first version in a text, as major and minor number: 1 and 96 in `rustc 1.96.0 (…)`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    text.split([' ', '\n', '~', '+', '(']).find_map(|word| {
        let mut numbers = word.split('.').map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

fn debian_rustc(folder: &Path) -> PathBuf {
    folder.join("usr/bin/rustc")
}

/// Where the unpacked rustc finds its own shared libraries, then ours.
fn library_path(folder: &Path) -> std::ffi::OsString {
    let mut path = folder.join("usr/lib/x86_64-linux-gnu").into_os_string();
    if let Some(more) = std::env::var_os("LD_LIBRARY_PATH") {
        path.push(":");
        path.push(more);
    }
    path
}

/// Fills `folder` with a rustc and a standard library for [`TRIPLE`].
fn prepare(folder: &Path, linker: &Path) -> Result<()> {
    eprintln!("this Rust has no target {TRIPLE}: preparing one (once, some minutes)");
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let packages = needed_packages()?;
    eprintln!("  downloading {}", packages.join(", "));
    unpack(&packages, folder)?;
    eprintln!("  compiling the standard library");
    compile_std(folder, linker)
}

/// The packages to unpack. Debian puts a version into the names of some, so they are looked up.
fn needed_packages() -> Result<Vec<String>> {
    let packages = look_up_packages();
    if let Ok(packages) = packages
        && !packages.is_empty()
        && offered_version() >= version_in(RUST_VERSION_MIN)
    {
        return Ok(packages);
    }
    // A fresh machine has no package lists yet, or those of the day its image was made.
    checkout::output_of(Command::new("apt-get").args(["update", "-qq"]))?;
    let packages = look_up_packages()?;
    if packages.is_empty() {
        bail!("apt knows no package {}", DEBIAN_PACKAGES.join(" nor "));
    }
    if offered_version() < version_in(RUST_VERSION_MIN) {
        bail!("apt has no rustc-web {RUST_VERSION_MIN} or newer");
    }
    Ok(packages)
}

/// The version of the compiler that apt would download.
fn offered_version() -> Option<(u32, u32)> {
    let shown = ["show", "--no-all-versions", DEBIAN_PACKAGES[0]];
    let shown = checkout::output_of(Command::new("apt-cache").args(shown)).ok()?;
    let mut lines = shown.lines();
    version_in(lines.find_map(|line| line.strip_prefix("Version: "))?)
}

fn look_up_packages() -> Result<Vec<String>> {
    let needed = checkout::output_of(
        Command::new("apt-cache")
            .args(["depends", "--recurse", "--no-recommends", "--no-suggests"])
            .args([
                "--no-conflicts",
                "--no-breaks",
                "--no-replaces",
                "--no-enhances",
            ])
            .args(DEBIAN_PACKAGES),
    )?;
    let installed = checkout::output_of(
        Command::new("dpkg-query")
            .args(["--show", "--showformat=${db:Status-Status} ${Package}\n"]),
    )?;
    Ok(not_installed(&needed, &installed))
}

/// The packages in the output of `apt-cache depends` that are not in the output of `dpkg-query`.
fn not_installed(needed: &str, installed: &str) -> Vec<String> {
    let installed: Vec<&str> = installed
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    // Packages stand at the start of a line, what they need is indented, virtual ones are in angle brackets.
    let mut packages: Vec<String> = needed
        .lines()
        .filter(|name| name.starts_with(|first: char| first.is_ascii_alphanumeric()))
        .filter(|name| !installed.contains(name))
        .map(str::to_owned)
        .collect();
    packages.sort();
    packages.dedup();
    packages
}

fn unpack(packages: &[String], folder: &Path) -> Result<()> {
    let downloads = folder.join("downloads");
    fs::create_dir_all(&downloads)?;
    // apt downloads as a user of its own, who must be able to write here.
    fs::set_permissions(&downloads, Permissions::from_mode(0o777))?;
    checkout::output_of(
        Command::new("apt-get")
            .args(["download", "-qq"])
            .args(packages)
            .current_dir(&downloads),
    )?;
    for package in fs::read_dir(&downloads)? {
        checkout::output_of(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(package?.path())
                .arg(folder),
        )?;
    }
    fs::remove_dir_all(&downloads)?;
    Ok(())
}

/// Compiles the standard library with the unpacked rustc and puts it where that rustc looks for it, so that afterwards
/// the target is there as if it had been installed.
fn compile_std(folder: &Path, linker: &Path) -> Result<()> {
    let empty = folder.join("empty");
    fs::create_dir_all(empty.join("src"))?;
    fs::write(empty.join("src/lib.rs"), "")?;
    fs::write(
        empty.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nedition = \"2024\"\n[profile.release]\npanic = \"abort\"\n[workspace]\n",
    )?;
    let unpacked = WasmTarget::Unpacked {
        folder: folder.to_owned(),
        linker: linker.to_owned(),
    };
    let mut cargo = checkout::cargo();
    unpacked.apply_to(&mut cargo);
    checkout::output_of(
        cargo
            .current_dir(&empty)
            .args(["build", "--release", "--target", TRIPLE])
            .arg("-Zbuild-std=std,panic_abort")
            .args(["--target-dir", "target"])
            // Both -Zbuild-std and the library's own features are reserved for nightly without this.
            .env("RUSTC_BOOTSTRAP", "1")
            // Guests are linked with LTO, which needs the library's bitcode.
            .env("RUSTFLAGS", "-Cembed-bitcode=yes")
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )?;
    let libraries = folder.join("usr/lib/rustlib").join(TRIPLE).join("lib");
    fs::create_dir_all(&libraries)?;
    for library in fs::read_dir(empty.join("target").join(TRIPLE).join("release/deps"))? {
        let library = library?;
        let name = library.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".rlib") && !text.starts_with("libempty") {
            fs::copy(library.path(), libraries.join(&name))?;
        }
    }
    if !has_std(&libraries) {
        bail!("cargo left no standard library behind");
    }
    // The sources are half of what was unpacked, and serve no more.
    fs::remove_dir_all(folder.join("usr/src"))?;
    fs::remove_dir_all(&empty)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{not_installed, version_in};

    #[test]
    fn versions_are_read_from_what_rustc_and_apt_say() {
        let rustc = "rustc 1.96.0 (4d91de4e4 2026-02-17) (built from a source tarball)";
        for (text, version) in [
            (rustc, Some((1, 96))),
            ("1.85.0+dfsg3-1~deb12u3", Some((1, 85))),
            ("1.95", Some((1, 95))),
            ("no version", None),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }

    #[test]
    fn needed_packages_are_those_that_apt_names_and_dpkg_has_not() {
        let needed = "rustc-web\n  Depends: libc6\n  Depends: libstd-rust-web-dev\nlibc6\n<libc-dev>\n  libc6-dev\n\
                      libstd-rust-web-dev\n  Depends: libstd-rust-web-1.96\nlibstd-rust-web-1.96\n";
        let installed = "installed libc6\nconfig-files libstd-rust-web-1.96\n";
        assert_eq!(
            not_installed(needed, installed),
            ["libstd-rust-web-1.96", "libstd-rust-web-dev", "rustc-web"]
        );
    }
}
