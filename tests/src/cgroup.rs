//! A group of processes whose memory is limited together: past the limit, the system kills one of them. Both kinds of
//! control groups that Linux has are known; making one takes root.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A control group. It goes away with its value, once nobody is in it.
pub struct Cgroup {
    folder: PathBuf,
    limit_file: &'static str,
}

impl Cgroup {
    /// Makes a group with this name, within whatever limits hold here already.
    ///
    /// # Errors
    /// There are no control groups for memory, or this process may not make one.
    pub fn new(name: &str) -> Result<Self> {
        let (parent, limit_file) = place().context("there are no control groups for memory")?;
        let folder = parent.join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let group = Self { folder, limit_file };
        let limit = group.folder.join(limit_file);
        ensure!(limit.exists(), "{} is missing", limit.display());
        Ok(group)
    }

    /// Lets the group have so many bytes at most. What does not fit any more is given back or killed.
    pub fn limit(&self, bytes: u64) -> Result<()> {
        self.write(self.limit_file, &bytes.to_string())
    }

    /// Takes a process in; what it starts from now on is in the group too.
    pub fn take(&self, process: u32) -> Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| format!("{}: cannot write {text}", path.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It stays if somebody is still in it, and then does no harm.
        fs::remove_dir(&self.folder).ok();
    }
}

/// The folder in which a group can be made, and the name of the file with a group's limit.
fn place() -> Option<(PathBuf, &'static str)> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    place_among(&mounts, &groups, Path::exists)
}

/// The same for given mounts and memberships. Of version 1, inside of the group that we are in; of version 2, beside it,
/// as there a group with processes has no groups of its own.
fn place_among(
    mounts: &str,
    groups: &str,
    exists: impl Fn(&Path) -> bool,
) -> Option<(PathBuf, &'static str)> {
    let mount = |kind: &str, option: &str| {
        let fields = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let mut found = fields.filter(|it| it.len() > 3 && it[2] == kind);
        let found = found.find(|it| option.is_empty() || it[3].split(',').any(|o| o == option));
        found.map(|it| PathBuf::from(it[1]))
    };
    let own = |controller: &str| {
        let mut memberships = groups.lines().map(|line| line.splitn(3, ':'));
        memberships.find_map(|mut it| {
            let (_, controllers, path) = (it.next()?, it.next()?, it.next()?);
            let is_it = controllers.split(',').any(|name| name == controller);
            is_it.then(|| path.trim_start_matches('/').to_owned())
        })
    };
    if let (Some(top), Some(own)) = (mount("cgroup", "memory"), own("memory")) {
        // Inside of a container the path may be the outer one.
        let inner = top.join(own);
        let parent = if exists(&inner) { inner } else { top };
        return Some((parent, "memory.limit_in_bytes"));
    }
    let (top, own) = (mount("cgroup2", "")?, own("")?);
    let inner = top.join(own);
    let parent = match inner.parent() {
        Some(beside) if inner != top && exists(&inner) => beside.to_owned(),
        Some(_) | None => top,
    };
    Some((parent, "memory.max"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_found() {
        let first = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let second = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        for (mounts, groups, exists, folder, file) in [
            (
                first,
                "4:memory:/a/b\n0::/\n",
                true,
                "/sys/fs/cgroup/memory/a/b",
                "memory.limit_in_bytes",
            ),
            (
                first,
                "4:cpu,memory:/outer\n",
                false,
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
            ),
            (
                second,
                "0::/user.slice/session.scope\n",
                true,
                "/sys/fs/cgroup/user.slice",
                "memory.max",
            ),
            (second, "0::/\n", true, "/sys/fs/cgroup", "memory.max"),
        ] {
            let found = place_among(mounts, groups, |_| exists);
            assert_eq!(found, Some((folder.into(), file)), "{groups}");
        }
        assert_eq!(
            place_among("proc /proc proc rw 0 0\n", "0::/\n", |_| true),
            None
        );
    }
}
