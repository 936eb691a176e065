//! Log lines on standard error: for people by default, JSON for machines. `QM_LOG` says which are written, but for one
//! kind: what would show a secret is never written.

use std::env::VarError;
use std::io::IsTerminal;

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// The variable that says what is logged: a level, or a filter such as `info,quartermaster::sync=debug`.
const VARIABLE: &str = "QM_LOG";

/// Who writes more than `info` about the bytes of a connection. At `trace` that is the whole request that opens a socket,
/// and with it what the store's `payload` holds.
const SECRET_TARGETS: [&str; 3] = ["tungstenite", "tokio_tungstenite", "rustls"];

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
    lines(format, filter, std::io::stderr)
        .try_init()
        .map_err(|_| Error::Begun)
}

/// What takes part in the process's log and writes it to `writer`.
fn lines(
    format: LogFormat,
    filter: EnvFilter,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Not directives of the filter: there a longer target, such as `tungstenite::handshake`, would win.
    let cap = SECRET_TARGETS.map(|target| (target, Level::INFO));
    let cap = Targets::new().with_default(Level::TRACE).with_targets(cap);
    Registry::default().with(lines).with(filter).with(cap)
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
    use std::io::Write;
    use std::sync::{Arc, RwLock};

    use super::*;

    /// What was written so far.
    #[derive(Clone, Default)]
    struct Lines(Arc<RwLock<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_filter_shows_the_bytes_of_a_connection() {
        for text in [
            "trace",
            "tungstenite=trace,tokio_tungstenite=trace,rustls=trace",
            "info,tungstenite::handshake::client=trace,tokio_tungstenite::compat=trace,rustls::client::hs=debug",
        ] {
            for format in [LogFormat::Text, LogFormat::Json] {
                let written = Lines::default();
                let writer = written.clone();
                let filter = filter(text).expect("a filter");
                let lines = lines(format, filter, move || writer.clone());
                // These crates write by way of `log`.
                tracing::subscriber::with_default(lines, || {
                    for target in [
                        "tungstenite::handshake::client",
                        "tokio_tungstenite::compat",
                        "rustls::client::hs",
                        "rustls",
                    ] {
                        for level in [log::Level::Trace, log::Level::Debug, log::Level::Info] {
                            let message = format_args!("{level} by {target}");
                            let mut record = log::Record::builder();
                            record.target(target).level(level).args(message);
                            tracing_log::format_trace(&record.build()).expect("no error");
                        }
                    }
                });
                let written = written.0.read().expect("nobody panics").clone();
                let written = String::from_utf8(written).expect("UTF-8");
                assert!(
                    !written.contains("TRACE by") && !written.contains("DEBUG by"),
                    "{text}: {written}"
                );
                assert!(written.contains("INFO by rustls"), "{text}: {written}");
            }
        }
    }

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
