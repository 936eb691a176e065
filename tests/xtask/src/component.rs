//! From a core module, as rustc makes it, to a component, as the host loads it. The WIT travels inside the core module:
//! wit-bindgen puts it there.

use std::path::Path;

use anyhow::{Context, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};
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

/// Checks that a component exports what the world for its handlers in the WIT package in `wit` asks for, and imports
/// nothing else than what that world offers.
pub(crate) fn check_world(component: &[u8], wit: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(wit)
        .with_context(|| format!("cannot read the WIT in {}", wit.display()))?;
    let name = world_for(component)?;
    let world = resolve
        .select_world(&[package], Some(name))
        .with_context(|| format!("no world `{name}` in {}", wit.display()))?;
    wit_component::targets(&resolve, world, component, true)
        .with_context(|| format!("the component does not fit the world `{name}` of wit/"))
}

/// The world of the contract for the handlers that a component exports.
fn world_for(component: &[u8]) -> Result<&'static str> {
    let decoded = wit_component::decode(component).context("cannot read the component's WIT")?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("it is a WIT package, not a component");
    };
    let exports = &resolve.worlds[world].exports;
    let exports = |handler: &str| {
        let mut names = exports.keys().map(|key| resolve.name_world_key(key));
        names.any(|name| name.starts_with(handler))
    };
    let handles_events = exports("quartermaster:plugin/on-event@");
    let handles_tasks = exports("quartermaster:plugin/on-task@");
    Ok(match (handles_events, handles_tasks) {
        (true, true) => "event-and-task-plugin",
        (false, true) => "task-plugin",
        (true | false, false) => "plugin",
    })
}
