//! Somebody has a chat page open in a browser, while the host that serves it and keeps its store is killed and comes
//! back.

use anyhow::{Context, Result, ensure};
use quartermaster_tests::browser::{Browser, Page};
use quartermaster_tests::checker::verify;
use quartermaster_tests::client::LiveStoreClient;
use quartermaster_tests::history::LogEvent;
use quartermaster_tests::host::Host;
use quartermaster_tests::paths;
use quartermaster_tests::plugins::echo;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::host_on;
use serde_json::Value;

const STORE: &str = "kitchen";

#[tokio::test]
async fn a_livestore_app_in_a_browser_goes_on_by_itself_after_its_host_was_killed() -> Result<()> {
    let page = paths::existing(paths::livestore().join("dist/page"))?;
    let page = page.to_str().context("a path that is no text")?;
    let mut scene = Conversation::begin(&["--demo", "--demo-page", page]).await?;
    let client = LiveStoreClient::start()?;
    client.open(STORE, &scene.host.sync_url()).await?;
    scene.survive_a_kill().await?;
    // An app that is no browser, and was connected all the time, has the same.
    let log = scene.check().await?;
    client.answer(STORE, LAST).await?;
    let rows = client.rows(STORE, "messages").await?;
    let rows = rows
        .iter()
        .map(|row| row["text"].as_str().unwrap_or_default());
    ensure!(rows.eq(texts(&log)), "the log is {log:?}");
    client.stop().await;
    scene.browser.close().await
}

#[tokio::test]
async fn the_hand_sized_page_goes_on_by_itself_after_its_host_was_killed() -> Result<()> {
    let mut scene = Conversation::begin(&["--demo"]).await?;
    scene.survive_a_kill().await?;
    scene.check().await?;
    scene.browser.close().await
}

/// What is said last.
const LAST: &str = "and now?";

/// A host that serves a chat page, and two tabs that show it.
struct Conversation {
    host: Host,
    browser: Browser,
    page: Page,
    neighbour: Page,
}

impl Conversation {
    /// Opens the page twice, in a host that is started with these arguments.
    async fn begin(arguments: &[&str]) -> Result<Self> {
        let mut host = host_on("embedded", &["echo"])?;
        host.store(STORE, "")?;
        host.arguments(arguments);
        // The page knows one address, so the host must come back to it.
        host.keep_address();
        host.start().await?;
        host.live(STORE).await?;
        let mut browser = Browser::start().await?;
        // Without the slash, as people type it.
        let url = format!("http://{}/demo?store={STORE}", host.address());
        let mut page = browser.open(&url).await?;
        state_is(&mut page, "live").await?;
        let neighbour = browser.open(&url).await?;
        Ok(Self {
            host,
            browser,
            page,
            neighbour,
        })
    }

    /// Says something before the host is killed, while it is gone, and after it came back.
    async fn survive_a_kill(&mut self) -> Result<()> {
        say(&mut self.page, "Is there soup?").await?;
        answered(&mut self.page, "Is there soup?").await?;
        answered(&mut self.neighbour, "Is there soup?").await?;
        self.host.kill().await?;
        state_is(&mut self.page, "offline").await?;
        say(&mut self.page, "Nobody there?").await?;
        self.host.start().await?;
        answered(&mut self.page, "Nobody there?").await?;
        say(&mut self.neighbour, LAST).await?;
        answered(&mut self.page, LAST).await?;
        answered(&mut self.neighbour, LAST).await
    }

    /// The log holds each question and its answer once, and both tabs show the log, and nothing as unsent.
    async fn check(&mut self) -> Result<Vec<LogEvent>> {
        let log = RawClient::log_of(&self.host.sync_url(), STORE).await?;
        verify(&log, &[echo()])?;
        ensure!(log.len() == 6, "the log is {log:?}");
        for page in [&mut self.page, &mut self.neighbour] {
            page.until("the log", SENT, |shown| {
                let shown = shown.as_array().into_iter().flatten();
                shown.filter_map(Value::as_str).eq(texts(&log))
            })
            .await?;
        }
        Ok(log)
    }
}

/// What was said, as the log has it.
fn texts(log: &[LogEvent]) -> impl Iterator<Item = &str> {
    log.iter().filter_map(|event| event.args["text"].as_str())
}

/// The messages that the page shows as sent.
const SENT: &str =
    "[...document.querySelectorAll('li:not([data-unsent])')].map((item) => item.textContent)";

/// Types something and presses the key for it.
async fn say(page: &mut Page, text: &str) -> Result<()> {
    let typed = format!(
        "{{ const form = document.querySelector('form'); \
         form.elements.text.value = {text:?}; form.requestSubmit(); }}"
    );
    page.evaluate(&typed).await.map(drop)
}

/// Waits until the page shows the plugin's answer to `text`.
async fn answered(page: &mut Page, text: &str) -> Result<()> {
    let answer = format!("You said: {text}");
    page.until(&format!("{answer:?}"), SENT, |shown| {
        let mut shown = shown.as_array().into_iter().flatten();
        shown.any(|shown| *shown == *answer)
    })
    .await
    .map(drop)
}

async fn state_is(page: &mut Page, state: &str) -> Result<()> {
    let shown = "document.querySelector('#state')?.dataset.state";
    page.until(&format!("itself as {state}"), shown, |shown| {
        *shown == *state
    })
    .await
    .map(drop)
}
