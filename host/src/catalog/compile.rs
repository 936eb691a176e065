//! Compiling in a child process: whatever a component does to the compiler, it does to that process, which is of the lowest
//! priority, has limits, and can be killed. What comes of it lies in wasmtime's cache, where the server finds it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tracing::warn;

use crate::runtime::compile_into_cache;

/// For a component to be compiled. A Python one takes 8 s of a core that is otherwise idle.
const PATIENCE: Duration = Duration::from_secs(180);

/// Bytes of the child's answer that are read.
const ANSWER_BYTES_MAX: u64 = 4 << 10;

/// How components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// By this program, called as `compile-plugin`.
    Child {
        /// Its path.
        program: PathBuf,
    },
    /// Here, without any protection: for tests and tools.
    InProcess,
}

/// Why there is nothing in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Uncompiled {
    /// The component is to blame.
    Refused(String),
    /// It may pass.
    Failed(String),
}

impl Compiler {
    /// Has `bytes` compiled into `cache`.
    ///
    /// # Errors
    /// What is wrong with the component, or what it did to the compiler.
    pub(super) async fn compile(&self, cache: &Path, bytes: &[u8]) -> Result<(), Uncompiled> {
        let program = match self {
            Self::Child { program } => program,
            Self::InProcess => {
                let compiled = compile_into_cache(cache, bytes);
                let refused = |error: crate::runtime::Error| Uncompiled::Refused(error.to_string());
                return compiled.map(drop).map_err(refused);
            }
        };
        let mut child = Command::new(program)
            .arg("compile-plugin")
            .arg(cache)
            // It needs nothing of ours, least of all secrets.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                let what = "the process that compiles it cannot be started";
                Uncompiled::Failed(format!("{what}: {error}"))
            })?;
        let exchanged = timeout(PATIENCE, exchange(&mut child, bytes)).await;
        let Ok((answer, status)) = exchanged else {
            // Waited for, so that no zombie stays.
            child.kill().await.ok();
            let seconds = PATIENCE.as_secs();
            let reason = format!("compiling it takes more than {seconds} seconds");
            return Err(Uncompiled::Refused(reason));
        };
        let failed = |error| Uncompiled::Failed(format!("it cannot be compiled: {error}"));
        verdict(&answer, status.map_err(failed)?)
    }
}

/// Gives the child the component, and waits for its end. Its standard input stays open until then: when we die it closes,
/// and the child ends too.
async fn exchange(child: &mut Child, bytes: &[u8]) -> (String, std::io::Result<ExitStatus>) {
    let mut input = child.stdin.take().expect("it was asked for");
    let output = child.stdout.take().expect("it was asked for");
    let mut answer = String::new();
    let mut output = output.take(ANSWER_BYTES_MAX);
    let give = async {
        // A child that has ended reads no further, and its answer says why.
        input
            .write_all(&(bytes.len() as u64).to_le_bytes())
            .await
            .ok();
        input.write_all(bytes).await.ok();
        input.flush().await.ok();
    };
    let (_, _) = tokio::join!(give, output.read_to_string(&mut answer));
    let status = child.wait().await;
    drop(input);
    (answer, status)
}

fn verdict(answer: &str, status: ExitStatus) -> Result<(), Uncompiled> {
    let refused = |reason: &str| Err(Uncompiled::Refused(reason.to_owned()));
    match (status.success(), answer.trim(), status.signal()) {
        (true, "", _) => Ok(()),
        (true, note, _) => {
            warn!("{note}");
            Ok(())
        }
        // What ends with it: an allocation that gets no memory, and a stack that is used up.
        (false, "", Some(6)) => {
            refused("compiling it takes more memory than there is for a plugin (2 GiB)")
        }
        (false, "", Some(24)) => {
            refused("compiling it takes more computing than a plugin may take (2 minutes)")
        }
        (false, "", Some(9)) => {
            let reason = "the process that compiled it was killed, perhaps because the machine has no memory left";
            Err(Uncompiled::Failed(reason.to_owned()))
        }
        (false, "", Some(signal)) => {
            refused(&format!("the compiler crashed over it (signal {signal})"))
        }
        (false, "", None) => refused(&format!("the compiler failed over it ({status})")),
        (false, reason, _) => refused(reason),
    }
}
