//! The way to the control socket of a data folder, however long the folder's path is.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

/// The socket's name in the data folder.
const NAME: &str = "control.sock";

/// Bytes of a path that fit the address of a socket on Linux: `sun_path` has 108 with the zero at its end.
const PATH_BYTES_MAX: usize = 107;

/// Connects to the server that listens in `data`.
pub(super) async fn connect(data: &Path) -> io::Result<UnixStream> {
    let path = data.join(NAME);
    if path.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
        return UnixStream::connect(path).await;
    }
    // Kept open until it is connected: the short path leads through it.
    let folder = File::open(data)?;
    UnixStream::connect(through(&folder)).await
}

/// The socket in a folder that is open, by a path that is always short enough.
pub(super) fn through(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()))
}

/// Whose the socket is, or else the first folder on its way that may be looked at.
pub(super) fn owner(data: &Path) -> u32 {
    let socket = data.join(NAME);
    let mut places = socket.ancestors();
    let found = places.find_map(|place| fs::metadata(place).ok());
    found.map_or(0, |found| found.uid())
}
