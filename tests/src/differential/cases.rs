//! The cases, by what they are about.

mod calls;
mod events;
mod malformed;
mod pulls;
mod pushes;
mod steering;
mod writers;

use crate::differential::Case;

/// All of them.
pub fn all() -> Vec<Case> {
    let groups = [
        pulls::cases(),
        pushes::cases(),
        events::cases(),
        calls::cases(),
        malformed::cases(),
        steering::cases(),
        writers::cases(),
    ];
    groups.into_iter().flatten().collect()
}
