//! What a component may import, said before wasmtime's own typecheck and in the words of somebody who writes plugins.

use wasmtime::component::Component;

use crate::runtime::log::one_line;
use crate::runtime::plugin::ERROR_BYTES_MAX;
use crate::runtime::{Engine, Error};

/// Every interface that the linker has, without its version.
const OFFERED: [&str; 23] = [
    "quartermaster:plugin/types",
    "quartermaster:plugin/store",
    "quartermaster:plugin/kv",
    "quartermaster:plugin/schedule",
    "quartermaster:plugin/log",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/*",
];

/// Refuses the first import that no plugin gets.
pub(super) fn check(engine: &Engine, component: &Component) -> Result<(), Error> {
    for (import, _) in component.component_type().imports(engine.wasmtime()) {
        if let Some(reason) = refusal(import) {
            return Err(Error::Import {
                import: one_line(import, ERROR_BYTES_MAX),
                reason,
            });
        }
    }
    Ok(())
}

/// Whether the component can ask for a kv. The interface that it imports is all that is known before it runs.
pub(super) fn uses_kv(engine: &Engine, component: &Component) -> bool {
    uses(engine, component, "quartermaster:plugin/kv@")
}

/// Whether the component can schedule tasks.
pub(super) fn uses_schedule(engine: &Engine, component: &Component) -> bool {
    uses(engine, component, "quartermaster:plugin/schedule@")
}

/// `interface` with its `@`.
fn uses(engine: &Engine, component: &Component, interface: &str) -> bool {
    let kind = component.component_type();
    let mut imports = kind.imports(engine.wasmtime());
    imports.any(|(import, _)| import.starts_with(interface))
}

fn refusal(import: &str) -> Option<String> {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let offered = OFFERED.iter().any(|offer| match offer.strip_suffix('*') {
        Some(package) => interface.starts_with(package),
        None => *offer == interface,
    });
    let package = interface.split('/').next().unwrap_or(interface);
    let reason = match package {
        "wasi:sockets" => "a plugin has no sockets; build it without networking",
        "wasi:http" => "a plugin has no HTTP; build it without networking",
        "quartermaster:plugin" if offered && version.starts_with("0.1.") => return None,
        "quartermaster:plugin" => {
            "this host offers `store`, `kv`, `schedule` and `log` in version 0.1.x of `quartermaster:plugin`; build the plugin \
             for that, or update the host"
        }
        _ if offered && version.starts_with("0.2.") => return None,
        _ => {
            "a plugin gets `quartermaster:plugin` (`store`, `kv`, `schedule`, `log`) and, of WASI 0.2, `cli`, `clocks`, \
             `filesystem` (empty), `io` and `random`"
        }
    };
    Some(reason.to_owned())
}
