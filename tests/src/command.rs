//! The host's other commands, as somebody types them: in the installation's folder, with its configuration.

use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::host::Host;
use crate::paths;
use crate::wait::PATIENCE;

/// What a command that has ended said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
}

/// A command that goes on.
pub struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Said {
    /// That it was refused with this code, and said all of this.
    pub fn ensure_refused(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code) && self.out.is_empty(), "{self:?}");
        for word in words {
            ensure!(self.err.contains(word), "{word:?} is missing: {}", self.err);
        }
        Ok(())
    }
}

impl Host {
    /// Runs a command to its end.
    pub async fn command(&self, words: &[&str]) -> Result<Said> {
        self.command_with_input(words, "").await
    }

    /// The same with something on its standard input.
    pub async fn command_with_input(&self, words: &[&str], input: &str) -> Result<Said> {
        let mut process = self.prepare(words)?.spawn().context("cannot start it")?;
        let mut stdin = process.stdin.take().context("it has no stdin")?;
        // Whoever does not read it may close it.
        stdin.write_all(input.as_bytes()).await.ok();
        drop(stdin);
        let output = timeout(PATIENCE, process.wait_with_output()).await;
        let output = output.with_context(|| format!("{words:?} goes on and on"))??;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs a command that must succeed; what it said on standard output.
    pub async fn done(&self, words: &[&str]) -> Result<String> {
        let said = self.command(words).await?;
        ensure!(said.code == Some(0), "{words:?}: {said:?}");
        Ok(said.out)
    }

    /// Starts a command that goes on by itself.
    pub fn begin(&self, words: &[&str]) -> Result<Running> {
        let mut process = self.prepare(words)?.spawn().context("cannot start it")?;
        let stdout = process.stdout.take().context("it has no stdout")?;
        let lines = BufReader::new(stdout).lines();
        Ok(Running { process, lines })
    }

    fn prepare(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(paths::host_binary()?);
        command
            .args(words)
            .args(["--config", "config"])
            .current_dir(self.folder())
            .env("QM_SERVER__LISTEN", self.address().to_string())
            .envs(self.variables())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Running {
    /// Waits for its next line.
    pub async fn line(&mut self) -> Result<String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.context("it says nothing more")??;
        line.context("it has ended")
    }

    /// Waits for its next line, which is JSON.
    pub async fn json(&mut self) -> Result<Value> {
        let line = self.line().await?;
        serde_json::from_str(&line).with_context(|| format!("it said {line}"))
    }

    /// Kills it at once.
    pub async fn kill(mut self) -> Result<()> {
        self.process.kill().await?;
        Ok(())
    }

    /// Presses Ctrl-C, and waits until it has ended; what it said on standard error.
    pub async fn interrupt(self) -> Result<(ExitStatus, String)> {
        let id = self.process.id().context("it has ended")?;
        let arguments = ["-INT".to_owned(), id.to_string()];
        let sent = Command::new("kill").args(arguments).status().await?;
        ensure!(sent.success(), "cannot send SIGINT to it");
        end(self.process).await
    }

    /// Closes its standard output, as `head` does when it has seen enough, and waits until it has noticed. Something must
    /// make it write.
    pub async fn ended_by_closed_output(self) -> Result<(ExitStatus, String)> {
        let Self { process, lines } = self;
        drop(lines);
        end(process).await
    }
}

async fn end(mut process: Child) -> Result<(ExitStatus, String)> {
    let mut err = String::new();
    let status = timeout(PATIENCE, process.wait()).await;
    let status = status.context("it goes on")??;
    if let Some(mut stderr) = process.stderr.take() {
        stderr.read_to_string(&mut err).await?;
    }
    Ok((status, err))
}
