//! From a core module, as rustc makes it, to a component, as the host loads it. The WIT travels inside the core module:
//! wit-bindgen puts it there.

use std::path::Path;

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;
use wit_parser::Resolve;

/// Makes the component of a core module and validates it.
pub(crate) fn encode(core: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .module(core)
        .context("the module does not say which WIT world it is for; does it call wit_bindgen::generate! and export!?")?
        .validate(true)
        .encode()
        .context("cannot make a component of the module")
}

/// Checks that a component exports what the world `plugin` of the WIT package in `wit` asks for, and imports nothing
/// else than what that world offers.
pub(crate) fn check_world(component: &[u8], wit: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(wit)
        .with_context(|| format!("cannot read the WIT in {}", wit.display()))?;
    let world = resolve
        .select_world(&[package], Some("plugin"))
        .with_context(|| format!("no world `plugin` in {}", wit.display()))?;
    wit_component::targets(&resolve, world, component, true)
        .context("the component does not fit the world `plugin` of wit/")
}
