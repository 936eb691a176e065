//! Waiting for a state, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take before a test gives up. Two slow cores with a dozen tests side by side need minutes now
/// and then; a test that passes never waits for this.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at a state that tells nobody when it changes.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// Asks until there is an answer; an error names what was waited for.
pub async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    until_within(PATIENCE, what, ask).await
}

/// The same with a patience of its own, for what takes long even on an idle machine.
pub async fn until_within<T>(
    patience: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {} s in vain for: {what}", patience.as_secs());
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}
