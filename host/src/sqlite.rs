//! What every SQLite file of ours has in common, whatever stands in it: what a failure means, which version of its
//! tables a file has, the checksum in each row, and the lock of a folder. It knows no table and no store.

mod checksum;
mod copy;
mod fault;
mod folder;
mod schema;

pub use checksum::Checksum;
pub use copy::copy;
pub use fault::Fault;
pub use folder::{FolderError, lock, make, wal_of, with_suffix};
pub use schema::Schema;
