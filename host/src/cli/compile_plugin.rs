//! `quartermaster compile-plugin`: what the server starts to have a component compiled. It lowers its own priority, limits
//! itself, and ends when the server does.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use rlimit::Resource;

use crate::runtime::compile_into_cache;

/// Seconds of computing, over all threads. A Python component takes 15.
const COMPUTING_SECONDS: u64 = 120;

/// Bytes of one file. What is compiled is a few times as large as a component.
const FILE_BYTES: u64 = 1 << 30;

/// The largest component there is.
const COMPONENT_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder of compiled plugins
    cache: PathBuf,
    /// Memory that may be written to, in MiB. Address space that is only reserved does not count
    #[arg(long, default_value_t = 2048)]
    memory: u64,
}

/// Reads a component's size and the component, compiles it, and says on standard output what is wrong with it.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    rustix::process::setpriority_process(None, 19).context("the priority stays as it is")?;
    let memory = arguments.memory << 20;
    for (resource, soft, hard) in [
        (Resource::DATA, memory, memory),
        // The soft limit ends it with a signal of its own, the hard one as anybody would.
        (Resource::CPU, COMPUTING_SECONDS, COMPUTING_SECONDS + 5),
        (Resource::FSIZE, FILE_BYTES, FILE_BYTES),
        (Resource::CORE, 0, 0),
    ] {
        rlimit::setrlimit(resource, soft, hard).context("a limit cannot be set")?;
    }
    let mut input = std::io::stdin();
    let mut size = [0; 8];
    input.read_exact(&mut size).context("no component")?;
    let mut bytes = Vec::new();
    let size = u64::from_le_bytes(size).min(COMPONENT_BYTES_MAX);
    std::io::Read::by_ref(&mut input)
        .take(size)
        .read_to_end(&mut bytes)?;
    std::thread::spawn(|| {
        // Nothing more comes: it ends when the server closes it, or dies.
        let mut rest = [0; 1];
        std::io::stdin().read_exact(&mut rest).ok();
        std::process::exit(1);
    });
    match compile_into_cache(&arguments.cache, &bytes) {
        Ok(kept) => {
            if !kept {
                let note = "the folder of compiled plugins cannot be written; the server compiles by itself";
                write!(std::io::stdout(), "{note}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            write!(std::io::stdout(), "{error}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}
