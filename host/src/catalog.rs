//! The plugins at hand: every `.wasm` of the drop folder, watched, compiled in another process, checked, and swapped while
//! stores use them; and the versions before, to go back to. One task owns all of it and publishes a [`Shelf`] whenever
//! something about it changes. A file that is wrong never replaces one that is right.

mod choice;
mod compile;
mod desk;
mod folder;
mod judge;
mod keeper;
mod loading;
mod orders;
mod scan;
mod shelf;
mod sweep;
mod tally;
mod versions;

pub use compile::Compiler;
pub use desk::{
    CatalogDesk, CatalogReport, Choice, NotGrantedReport, OrderError, PinReport, PluginReport,
    Refused, VersionReport, VersionState,
};
pub use keeper::{Catalog, CatalogConfig};
pub use shelf::{Absent, Shelf, Stocked};
pub use tally::Tally;
