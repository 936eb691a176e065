//! The folder of compiled plugins, kept small. wasmtime cleans it on a thread that ends with the process that compiled, so
//! mostly before it begins; and what a killed child had half written would keep its component out of the folder for ever.
//! Everything here blocks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of all compiled plugins. As much as wasmtime keeps by itself; a Python component takes some 20 MB.
const BYTES_MAX: u64 = 512 << 20;

/// Bytes that are left when there were too many, so that not each new one costs a sweep.
const BYTES_LEFT: u64 = BYTES_MAX / 10 * 7;

/// What wasmtime's names for files that are being written contain.
const UNFINISHED: &str = "wip-atomic-write";

/// A compiled plugin.
struct Compiled {
    /// When it was last loaded, as wasmtime notes it in a file beside it.
    used_at: SystemTime,
    path: PathBuf,
    size: u64,
}

/// Removes what was left half written, and the compiled plugins that were not used for longest, if there are too many.
/// Nothing may be compiling meanwhile. What is loaded is not touched by it.
pub(super) fn sweep(cache: &Path) -> io::Result<()> {
    sweep_to(cache, BYTES_MAX, BYTES_LEFT)
}

fn sweep_to(cache: &Path, bytes_max: u64, bytes_left: u64) -> io::Result<()> {
    let mut compiled = Vec::new();
    // wasmtime's layout: a folder for each version of the compiler.
    for compiler in entries(&cache.join("modules"))? {
        for path in entries(&compiler)? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if name.contains(UNFINISHED) {
                fs::remove_file(&path)?;
            } else if !name.contains('.') {
                compiled.extend(look_at(path)?);
            }
        }
    }
    let mut total: u64 = compiled.iter().map(|it| it.size).sum();
    if total <= bytes_max {
        return Ok(());
    }
    compiled.sort_by_key(|it| it.used_at);
    for it in compiled {
        if total <= bytes_left {
            break;
        }
        fs::remove_file(&it.path)?;
        fs::remove_file(stats_of(&it.path)).ok();
        total = total.saturating_sub(it.size);
    }
    Ok(())
}

fn look_at(path: PathBuf) -> io::Result<Option<Compiled>> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let used = stats_of(&path).metadata().and_then(|it| it.modified());
    Ok(Some(Compiled {
        used_at: used.or_else(|_| metadata.modified())?,
        path,
        size: metadata.len(),
    }))
}

fn stats_of(path: &Path) -> PathBuf {
    path.with_extension("stats")
}

/// What is in a folder; nothing if it is not there, or is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        entries => entries?.map(|entry| entry.map(|it| it.path())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_compiled_plugins_go_first_and_half_written_ones_always() {
        let cache = tempfile::tempdir().expect("a folder");
        sweep(cache.path()).expect("nothing to do");
        let folder = cache.path().join("modules/wasmtime-1");
        fs::create_dir_all(&folder).expect("a folder");
        let age = |path: &Path, seconds: u64| {
            let time = SystemTime::now() - Duration::from_secs(seconds);
            let file = fs::File::options().write(true).open(path).expect("a file");
            file.set_modified(time).expect("a time");
        };
        for (name, used) in [("a", 30), ("b", 10), ("c", 20)] {
            fs::write(folder.join(name), [0; 100]).expect("a file");
            let stats = stats_of(&folder.join(name));
            fs::write(&stats, b"").expect("a file");
            age(&stats, used);
        }
        fs::write(folder.join("d.wip-atomic-write-mod"), b"half").expect("a file");
        sweep_to(cache.path(), 300, 100).expect("a sweep");
        assert_eq!(
            names(&folder),
            ["a", "a.stats", "b", "b.stats", "c", "c.stats"]
        );
        sweep_to(cache.path(), 299, 100).expect("a sweep");
        assert_eq!(names(&folder), ["b", "b.stats"]);
    }

    fn names(folder: &Path) -> Vec<String> {
        let paths = entries(folder).expect("a folder");
        let name = |path: &PathBuf| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let mut names: Vec<String> = paths.iter().map(name).collect();
        names.sort();
        names
    }
}
