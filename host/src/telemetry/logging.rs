//! Log lines on standard error: for people by default, JSON for machines. `QM_LOG` says which are written.

use std::env::VarError;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The variable that says what is logged: a level, or a filter such as `info,quartermaster::sync=debug`.
const VARIABLE: &str = "QM_LOG";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; in color on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The variable is not a filter.
    #[error(
        "{VARIABLE}: expected a level such as \"info\" or a filter such as \
         \"info,quartermaster::sync=debug\": {0}"
    )]
    Filter(String),
    /// Something else in the process has begun to log.
    #[error("logging has begun already")]
    Begun,
}

/// Begins to log, for the rest of the process's life.
pub fn init(format: LogFormat) -> Result<(), Error> {
    let filter = match std::env::var(VARIABLE) {
        Ok(text) => filter(&text)?,
        Err(VarError::NotPresent) => filter("")?,
        Err(VarError::NotUnicode(_)) => return Err(Error::Filter("it is not UTF-8".to_owned())),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let begun = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    begun.map_err(|_| Error::Begun)
}

/// Nothing is `info`.
fn filter(text: &str) -> Result<EnvFilter, Error> {
    let text = match text.trim() {
        "" => "info",
        text => text,
    };
    EnvFilter::builder()
        .parse(text)
        .map_err(|error| Error::Filter(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_info_unless_it_is_said_otherwise() {
        let shown = |text: &str| filter(text).map(|filter| filter.to_string()).ok();
        assert_eq!(shown("").as_deref(), Some("info"));
        assert_eq!(shown(" ").as_deref(), Some("info"));
        assert_eq!(shown("debug").as_deref(), Some("debug"));
        assert_eq!(shown("warn,a::b=trace").as_deref(), Some("a::b=trace,warn"));
    }

    #[test]
    fn a_filter_that_is_none_is_told_with_its_variable() {
        let error = filter("quartermaster=loud").expect_err("there is no such level");
        let message = error.to_string();
        assert!(
            message.starts_with("QM_LOG: expected a level such as \"info\""),
            "{message}"
        );
    }
}
