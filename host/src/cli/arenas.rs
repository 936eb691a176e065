//! A bound on the allocator's arenas. glibc gives its threads up to eight arenas for each core, and each keeps what it once
//! needed: with a hundred idle stores that is three times as much memory for each of them.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread::available_parallelism;

use tracing::debug;

/// glibc reads it before `main`, and has no other knob that safe code can turn.
const VARIABLE: &str = "MALLOC_ARENA_MAX";

/// Two threads that allocate at once must not wait for each other, even on one core.
const ARENAS_MIN: usize = 2;

/// Starts the process's program again in its place, with the variable set, unless somebody has set it. The process keeps
/// its id. Call it before there is anything to lose.
pub(super) fn bound() {
    if std::env::var_os(VARIABLE).is_some() || !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return;
    }
    let cores = available_parallelism().map_or(ARENAS_MIN, usize::from);
    let mut words = std::env::args_os();
    let name = words
        .next()
        .unwrap_or_else(|| OsString::from("quartermaster"));
    // Not the path it was started by: that may hold another version by now.
    let mut again = Command::new("/proc/self/exe");
    again
        .arg0(name)
        .args(words)
        .env(VARIABLE, cores.max(ARENAS_MIN).to_string());
    let error = again.exec();
    debug!(%error, "cannot bound the allocator's arenas; the process needs more memory than it could");
}
