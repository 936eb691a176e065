//! `quartermaster plugin rollback|pin|unpin|promote`: which version is used. The server keeps the order, with who gave it
//! and why, also over a restart.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use crate::catalog::{CatalogReport, Choice, PluginReport};
use crate::cli::control::{Client, Error, Order};
use crate::cli::plugin::list;
use crate::cli::table;
use crate::config::{Environment, Location};
use crate::id::{PluginName, StoreId};

pub(super) const ROLLBACK_EXAMPLES: &str = "\
Examples:
  quartermaster plugin rollback echo --why 'answers twice'   to the version before
  quartermaster plugin rollback echo --to 3fa8c1d2

Runs that go on finish on the version that they began with. The withdrawn version is not used again, also if its file stays, \
until `plugin promote`; a newer file is a new version. Stores that a pin holds keep what it says.";

pub(super) const PIN_EXAMPLES: &str = "\
Examples:
  quartermaster plugin pin echo 3fa8c1d2                     everywhere, whatever is newer
  quartermaster plugin pin echo 3fa8c1d2 --store shop --why 'waits for the new app'

What `plugins.echo.sha256` says in the configuration of a store goes before a pin, and a pin of the store before one of all. \
`plugin list` shows the versions that are kept.";

pub(super) const UNPIN_EXAMPLES: &str = "\
Examples:
  quartermaster plugin unpin echo
  quartermaster plugin unpin echo --store shop";

pub(super) const PROMOTE_EXAMPLES: &str = "\
Examples:
  quartermaster plugin promote echo --why 'a day without failures'

The newest version is for every store from now on, though its rollout was only for some, or it was withdrawn.";

/// Digits of a digest that are asked for at least: two versions of a plugin hardly share so many.
const DIGITS_MIN: usize = 6;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rollback {
    /// The plugin
    #[arg(value_name = "NAME")]
    plugin: PluginName,
    /// The version to go back to, by the first digits of its SHA-256 [default: the one before]
    #[arg(long, value_name = "DIGEST", value_parser = digits)]
    to: Option<String>,
    #[command(flatten)]
    order: Order,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Pin {
    /// The plugin
    #[arg(value_name = "NAME")]
    plugin: PluginName,
    /// The version, by the first digits of its SHA-256
    #[arg(value_name = "DIGEST", value_parser = digits)]
    to: String,
    /// The store [default: all]
    #[arg(long, value_name = "STORE")]
    store: Option<StoreId>,
    #[command(flatten)]
    order: Order,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Unpin {
    /// The plugin
    #[arg(value_name = "NAME")]
    plugin: PluginName,
    /// The store whose pin it is [default: the one for all]
    #[arg(long, value_name = "STORE")]
    store: Option<StoreId>,
    #[command(flatten)]
    order: Order,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Promote {
    /// The plugin
    #[arg(value_name = "NAME")]
    plugin: PluginName,
    #[command(flatten)]
    order: Order,
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    choice: &'a Choice,
    why: &'a str,
    user: String,
}

/// A command as what the server understands: which plugin, which version, and how it is ordered.
pub(super) type Parts<'a> = (&'a PluginName, Choice, &'a Order);

impl Rollback {
    pub(super) fn parts(&self) -> Parts<'_> {
        let to = self.to.clone();
        (&self.plugin, Choice::Rollback { to }, &self.order)
    }
}

impl Pin {
    pub(super) fn parts(&self) -> Parts<'_> {
        let (to, store) = (self.to.clone(), self.store.clone());
        (&self.plugin, Choice::Pin { to, store }, &self.order)
    }
}

impl Unpin {
    pub(super) fn parts(&self) -> Parts<'_> {
        let store = self.store.clone();
        (&self.plugin, Choice::Unpin { store }, &self.order)
    }
}

impl Promote {
    pub(super) fn parts(&self) -> Parts<'_> {
        (&self.plugin, Choice::Promote, &self.order)
    }
}

/// Orders it, and prints how it stands with the plugin then.
pub(super) fn run(
    (plugin, choice, order): Parts<'_>,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut std::io::stdout().lock();
    let work = async |client: &Client| choose(plugin, &choice, order, client, out).await;
    order.running.ask(location, environment, work)
}

async fn choose(
    plugin: &PluginName,
    choice: &Choice,
    order: &Order,
    client: &Client,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let body = Body {
        choice,
        why: &order.why,
        user: crate::cli::control::user(),
    };
    let path = format!("/api/v1/plugins/{plugin}");
    let answer = client.post(&path, &body);
    let report: PluginReport = match answer.await {
        Ok(report) => report,
        Err(error) => return Err(with_near_names(error, plugin, client).await.into()),
    };
    match order.json {
        true => table::print_json(&report, out)?,
        false => list::print(&[report], out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// If the server has no such plugin, which it has that is spelled like it.
pub(super) async fn with_near_names(error: Error, plugin: &PluginName, client: &Client) -> Error {
    if !error.is_unknown() {
        return error;
    }
    // Without them the error says enough.
    let known: CatalogReport = client.get("/api/v1/plugins").await.unwrap_or_default();
    let names: Vec<&str> = known.plugins.iter().map(|it| it.name.as_str()).collect();
    error.suggest(plugin.as_str(), &names)
}

/// The first digits of a digest, in lower case.
fn digits(text: &str) -> Result<String, String> {
    let valid = (DIGITS_MIN..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match valid {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!(
            "expected the first {DIGITS_MIN} to 64 hexadecimal digits of a SHA-256, as `plugin list` shows them"
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::control::fake::Fake;
    use crate::cli::plugin::Command;
    use crate::cli::plugin::list::tests::echo;

    #[derive(Parser)]
    struct Words {
        #[command(subcommand)]
        command: Command,
    }

    /// Carries out the words against `server`.
    async fn plugin(words: &str, server: &Fake) -> anyhow::Result<String> {
        let words = std::iter::once("plugin").chain(words.split(' '));
        let words = Words::try_parse_from(words)?;
        let (plugin, choice, order) = match &words.command {
            Command::Rollback(it) => it.parts(),
            Command::Pin(it) => it.parts(),
            Command::Unpin(it) => it.parts(),
            Command::Promote(it) => it.parts(),
            Command::List(_) | Command::Inspect(_) => unreachable!("they choose nothing"),
        };
        let mut out = Vec::new();
        let client = server.client();
        let code = choose(plugin, &choice, order, &client, &mut out).await?;
        assert_eq!(code, ExitCode::SUCCESS);
        Ok(String::from_utf8(out)?)
    }

    #[tokio::test]
    async fn each_command_sends_its_choice_and_prints_the_versions() {
        let path = "POST /api/v1/plugins/echo";
        let mut server = Fake::new(&[(path, StatusCode::OK, echo())]).await;
        for (words, choice) in [
            (
                "rollback echo --why bad",
                json!({ "choice": "rollback", "to": null }),
            ),
            (
                "rollback echo --to 3FA8C1 --why bad",
                json!({ "choice": "rollback", "to": "3fa8c1" }),
            ),
            (
                "pin echo 3fa8c1 --why bad",
                json!({ "choice": "pin", "to": "3fa8c1", "store": null }),
            ),
            (
                "pin echo 3fa8c1 --store shop --why bad",
                json!({ "choice": "pin", "to": "3fa8c1", "store": "shop" }),
            ),
            (
                "unpin echo --store shop --why bad",
                json!({ "choice": "unpin", "store": "shop" }),
            ),
            ("promote echo --why bad", json!({ "choice": "promote" })),
        ] {
            let text = plugin(words, &server).await.unwrap();
            assert!(text.starts_with("echo  1.4.0-rc1  cccccccccccc"), "{text}");
            let asked = server.asked();
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0].0, path);
            assert_eq!(asked[0].1["choice"], choice, "{words}");
            assert_eq!(asked[0].1["why"], "bad");
            assert_eq!(asked[0].1["user"], crate::cli::control::user());
        }
        let json = plugin("promote echo --json", &server).await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), echo());
    }

    #[tokio::test]
    async fn an_unknown_plugin_is_answered_with_those_near_it() {
        let catalog = json!({ "plugins": [echo()], "refused": [] });
        let unknown = json!({ "error": "there is no plugin ecko" });
        let no_version = json!({ "error": "plugin echo has no version that begins with 3fa8c1" });
        let answers = [
            ("GET /api/v1/plugins", StatusCode::OK, catalog),
            ("POST /api/v1/plugins/ecko", StatusCode::NOT_FOUND, unknown),
            (
                "POST /api/v1/plugins/echo",
                StatusCode::NOT_FOUND,
                no_version,
            ),
        ];
        let server = Fake::new(&answers).await;
        let error = plugin("promote ecko", &server).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no plugin ecko; did you mean echo?"
        );
        let error = plugin("pin echo 3fa8c1", &server).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "plugin echo has no version that begins with 3fa8c1"
        );
    }

    #[test]
    fn names_and_digests_are_looked_at_before_anybody_is_asked() {
        for (words, complaint) in [
            (["promote", "Echo"].as_slice(), "plugin name \"Echo\""),
            (&["pin", "echo", "3fa"], "hexadecimal digits"),
            (
                &["rollback", "echo", "--to", "newest"],
                "hexadecimal digits",
            ),
            (&["unpin", "echo", "--store", "../x"], "store id \"../x\""),
        ] {
            let words = std::iter::once(&"plugin").chain(words);
            let error = Words::try_parse_from(words).err().unwrap();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(complaint), "{error}");
        }
    }
}
