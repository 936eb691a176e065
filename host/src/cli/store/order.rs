//! `quartermaster store pause|resume|drain|remove`: what is to become of a store of the running server, whatever its
//! configuration says. The server keeps the order, with who gave it and why, also over a restart.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::cli::control::{self, Client, Error, Order};
use crate::cli::table;
use crate::config::{Environment, Location};
use crate::id::StoreId;
use crate::supervisor::{Followed, Wish};

pub(super) const PAUSE_EXAMPLES: &str = "\
Examples:
  quartermaster store pause shop --why 'moving its backend'

What runs is finished, and the store is disconnected; what it has committed and not pushed waits in its journal. It rests \
until `store resume`, also over restarts of the server.";

pub(super) const RESUME_EXAMPLES: &str = "\
Examples:
  quartermaster store resume shop

The store does again what its configuration says: the order is lifted, whether it was to pause, to drain or to remove. A store \
that the host has quarantined, because the host died whenever it began, gets one more chance.";

pub(super) const DRAIN_EXAMPLES: &str = "\
Examples:
  quartermaster store drain shop
  quartermaster store drain shop --within 5m && quartermaster store backup shop /backup/shop

As `store pause`, but only once all that it has committed is in its log. If that takes longer than --within, the store goes \
on as before, and the command fails (1).";

pub(super) const REMOVE_EXAMPLES: &str = "\
Examples:
  quartermaster store remove shop --why 'the customer has left'

The store stops, and apps no longer sync with it, although it is configured. Its journal and its log stay. `store resume` \
brings it back, where it was.";

/// Added to what a drain may take, for the answer to come.
const MARGIN: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store
    #[arg(value_name = "STORE")]
    store: StoreId,
    #[command(flatten)]
    order: Order,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Drain {
    /// How long it may take, such as 30s or 5m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    within: Duration,
    #[command(flatten)]
    arguments: Arguments,
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    wish: &'a Wish,
    why: &'a str,
    user: String,
}

/// Orders it, and prints what became of it.
pub(super) fn run(
    arguments: &Arguments,
    wish: Wish,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut std::io::stdout().lock();
    let work = async |client: &Client| order(arguments, &wish, client, out).await;
    arguments.order.running.ask(location, environment, work)
}

/// The same for a drain.
pub(super) fn drain(
    drain: &Drain,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let within = drain.within;
    run(
        &drain.arguments,
        Wish::Drain { within },
        location,
        environment,
    )
}

async fn order(
    Arguments { store, order }: &Arguments,
    wish: &Wish,
    client: &Client,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let body = Body {
        wish,
        why: &order.why,
        user: control::user(),
    };
    let client = match wish {
        Wish::Drain { within } => client.patient(*within + MARGIN),
        Wish::Pause | Wish::Resume | Wish::Remove => client.clone(),
    };
    let followed = client.post(&format!("/api/v1/stores/{store}"), &body).await;
    let followed: Followed = match followed {
        Ok(followed) => followed,
        Err(error) => return Err(suggest(error, store, &client).await.into()),
    };
    if order.json {
        table::print_json(&followed, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    match &followed.note {
        None => writeln!(out, "{store}: {}", followed.state)?,
        Some(note) => writeln!(out, "{store}: {}; {note}", followed.state)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds the store that was probably meant.
pub(in crate::cli) async fn suggest(error: Error, store: &StoreId, client: &Client) -> Error {
    if !error.is_unknown() {
        return error;
    }
    let Ok(health) = client.get::<Value>("/api/v1/health").await else {
        return error;
    };
    let stores = health["stores"].as_array().cloned().unwrap_or_default();
    let known: Vec<&str> = stores.iter().filter_map(|it| it["id"].as_str()).collect();
    error.suggest(store.as_str(), &known)
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?}: expected a duration such as 30s or 5m");
    let (number, factor) = match text.strip_suffix('m').or(text.strip_suffix('s')) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) => (number, 1),
        None => return Err(wrong()),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|it| it.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::cli::control::fake::Fake;

    const PATH: &str = "POST /api/v1/stores/shop";

    fn arguments() -> Arguments {
        Arguments {
            store: "shop".parse().unwrap(),
            order: Order {
                why: "moving".to_owned(),
                ..Order::default()
            },
        }
    }

    #[tokio::test]
    async fn an_order_is_sent_with_its_reason_and_what_became_of_it_is_printed() {
        let answer = json!({ "store": "shop", "state": "paused", "note": "it did not run" });
        let mut server = Fake::new(&[(PATH, StatusCode::OK, answer)]).await;
        let mut out = Vec::new();
        let wish = Wish::Drain {
            within: Duration::from_secs(60),
        };
        order(&arguments(), &wish, &server.client(), &mut out)
            .await
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "shop: paused; it did not run\n"
        );
        let asked = server.asked();
        let (path, body) = &asked[0];
        assert_eq!(path, PATH);
        assert_eq!(
            body["wish"],
            json!({ "wish": "drain", "within": { "secs": 60, "nanos": 0 } })
        );
        assert_eq!(body["why"], "moving");
    }

    #[tokio::test]
    async fn an_unknown_store_is_answered_with_the_one_that_was_meant() {
        let answers = [
            (
                PATH,
                StatusCode::NOT_FOUND,
                json!({ "error": "no store shop is configured" }),
            ),
            (
                "GET /api/v1/health",
                StatusCode::OK,
                json!({ "stores": [{ "id": "shop1" }] }),
            ),
        ];
        let server = Fake::new(&answers).await;
        let failed = order(
            &arguments(),
            &Wish::Pause,
            &server.client(),
            &mut Vec::new(),
        )
        .await;
        let text = failed.unwrap_err().to_string();
        assert_eq!(text, "no store shop is configured; did you mean shop1?");
    }

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["", "5", "m", "-5s", "5h", "99999999999999999999m"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
