//! A server for tests: it listens on a real control socket, gives answers that were laid out, and remembers what it was
//! asked.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::control::{Client, socket};

/// A control socket in a folder of its own.
pub(in crate::cli) struct Fake {
    _folder: TempDir,
    data: PathBuf,
    asked: mpsc::Receiver<(String, Value)>,
    _tasks: JoinSet<()>,
}

/// `POST /api/v1/reload`, say, and what is answered.
pub(in crate::cli) type Answers<'a> = &'a [(&'a str, StatusCode, Value)];

#[derive(Clone)]
struct Desk {
    answers: Arc<[(String, StatusCode, Value)]>,
    asked: mpsc::Sender<(String, Value)>,
}

impl Fake {
    /// Begins to listen.
    pub(in crate::cli) async fn new(answers: Answers<'_>) -> Self {
        Self::in_subfolder("", answers).await
    }

    /// The same, in a folder below.
    #[expect(
        clippy::unused_async,
        reason = "whoever uses it has to be in a runtime"
    )]
    pub(in crate::cli) async fn in_subfolder(name: &str, answers: Answers<'_>) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join(name);
        std::fs::create_dir_all(&data).unwrap();
        let open = std::fs::File::open(&data).unwrap();
        let listener = UnixListener::bind(socket::through(&open)).unwrap();
        let (sender, asked) = mpsc::channel(100);
        let answers = answers.iter().cloned();
        let desk = Desk {
            answers: answers
                .map(|(path, status, body)| (path.to_owned(), status, body))
                .collect(),
            asked: sender,
        };
        let router = Router::new().fallback(answer).with_state(desk);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            _folder: folder,
            data,
            asked,
            _tasks: tasks,
        }
    }

    pub(in crate::cli) fn client(&self) -> Client {
        Client::on(&self.data)
    }

    /// What it was asked since the last time.
    pub(in crate::cli) fn asked(&mut self) -> Vec<(String, Value)> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

async fn answer(State(desk): State<Desk>, method: Method, uri: Uri, body: String) -> Response {
    let asked = format!("{method} {}", uri.path());
    let order = serde_json::from_str(&body).unwrap_or(Value::Null);
    desk.asked.send((asked.clone(), order)).await.unwrap();
    let answer = desk.answers.iter().find(|(path, ..)| *path == asked);
    let unknown = || json!({ "error": format!("nobody laid out {asked}") });
    match answer {
        Some((_, status, body)) => (*status, Json(body.clone())).into_response(),
        None => (StatusCode::NOT_IMPLEMENTED, Json(unknown())).into_response(),
    }
}
