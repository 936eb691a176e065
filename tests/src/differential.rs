//! The embedded backend beside the original: the same frames to both, and the same answers but for ids, times and words.
//! A [`Case`] is a short script on a store of its own; [`play`] runs it against one [`Side`]; what both said is made
//! comparable in `normal`. Where they differ on purpose, the case names the [`Difference`], and a case that names one
//! must show it.

pub mod cases;
mod connection;
mod differences;
mod frames;
mod normal;
mod play;
mod script;

pub use differences::Difference;
pub use play::{Side, play};
pub use script::Case;
