//! Asking the server that runs on a data folder: over the control socket in it, one request for each connection. Where
//! the folder is, the configuration says, or whoever asks.
//!
//! It waits a bounded time for everything, and tells what it cannot reach and what to do about it.

#[cfg(test)]
pub(in crate::cli) mod fake;
mod socket;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli::{Refusal, interrupt, stores};
use crate::config::{Environment, Location, load};
use crate::journal;

/// How long an answer is waited for. A reload of ten thousand stores takes seconds; beyond a minute something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest answer that is read: twenty thousand stores with a kilobyte or two for each.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Which server is asked.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Running {
    /// Data folder of the server [default: server.data of the configuration]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// How something is ordered.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Order {
    /// The reason, which is kept with the order
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) why: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) running: Running,
}

/// The server that runs on a data folder, if one does.
#[derive(Clone, Debug)]
pub(super) struct Client {
    data: PathBuf,
    patience: Duration,
}

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nobody listens.
    #[error(
        "no server runs on data folder {data}; start it with `quartermaster serve`, or name its data folder with --data",
        data = .data.display()
    )]
    NoServer {
        /// The folder.
        data: PathBuf,
    },
    /// Somebody works there and does not listen.
    #[error(
        "a server works on data folder {data} and takes no orders yet: it is starting or stopping, or it is an older \
         version; try again, or restart it",
        data = .data.display()
    )]
    Deaf {
        /// The folder.
        data: PathBuf,
    },
    /// The socket is another user's.
    #[error(
        "the server on data folder {data} takes orders only from its own user (uid {uid}) and from root; try \
         `sudo -u '#{uid}' quartermaster …`",
        data = .data.display()
    )]
    Forbidden {
        /// The folder.
        data: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// No answer in time.
    #[error(
        "the server on data folder {data} has not answered within {patience:?}; what was asked for may still be done: look \
         into its log, or ask again",
        data = .data.display()
    )]
    Timeout {
        /// The folder.
        data: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It said no.
    #[error("{reason}")]
    Denied {
        /// In which way.
        status: StatusCode,
        /// Why, in its words.
        reason: String,
    },
    /// The answer makes no sense here.
    #[error(
        "the server on data folder {data}: {reason}; is it of the same version as this command?",
        data = .data.display()
    )]
    Strange {
        /// The folder.
        data: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Whether it says that something has no such name.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Denied { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Adds which of the `known` names was probably meant, if it is about a name that nothing has.
    pub(super) fn suggest(self, name: &str, known: &[&str]) -> Self {
        let near = match known.contains(&name) {
            true => Vec::new(),
            false => stores::near(name, known),
        };
        match self {
            Self::Denied { status, reason }
                if status == StatusCode::NOT_FOUND
                    && !near.is_empty()
                    && !reason.contains("did you mean") =>
            {
                let reason = format!("{reason}; did you mean {}?", near.join(" or "));
                Self::Denied { status, reason }
            }
            Self::NoServer { .. }
            | Self::Deaf { .. }
            | Self::Forbidden { .. }
            | Self::Timeout { .. }
            | Self::Denied { .. }
            | Self::Strange { .. } => self,
        }
    }
}

impl Running {
    /// Whether somebody named a folder.
    pub(super) fn is_named(&self) -> bool {
        self.data.is_some()
    }

    #[cfg(test)]
    pub(super) fn named(data: &Path) -> Self {
        Self {
            data: Some(data.to_owned()),
        }
    }

    /// The server on the folder that was named, or else on that of the configuration.
    ///
    /// # Errors
    /// [`Refusal::Config`] if the configuration does not say where it is.
    pub(super) fn client(
        &self,
        location: &Location,
        environment: &Environment,
    ) -> anyhow::Result<Client> {
        match &self.data {
            Some(data) => Ok(Client::on(data)),
            None => Ok(Client::on(&data_folder(location, environment)?)),
        }
    }

    /// Has `work` ask it, until it is done or somebody presses Ctrl-C: then nobody knows whether it was done.
    pub(super) fn ask(
        &self,
        location: &Location,
        environment: &Environment,
        work: impl AsyncFnOnce(&Client) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let client = self.client(location, environment)?;
        Ok(interrupt::run(work(&client))?.unwrap_or(ExitCode::FAILURE))
    }
}

/// The data folder that the configuration names.
fn data_folder(location: &Location, environment: &Environment) -> anyhow::Result<PathBuf> {
    match load(location, environment) {
        Ok(loaded) => Ok(loaded.config.server().data.clone()),
        // The server may well run, on what was right before.
        Err(refused) if refused.data.is_some() => Ok(refused.data.unwrap_or_default()),
        Err(refused) => {
            let text = format!("{refused}\nname the data folder of the server with --data");
            Err(Refusal::Config(text).into())
        }
    }
}

impl Client {
    /// Asks whatever server runs on `data`.
    pub(super) fn on(data: &Path) -> Self {
        Self {
            // In messages the whole path tells whoever stands in another folder than the server what is wrong.
            data: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
            patience: PATIENCE,
        }
    }

    /// The same, waiting longer or less long.
    pub(super) fn patient(&self, patience: Duration) -> Self {
        Self {
            data: self.data.clone(),
            patience,
        }
    }

    /// Asks for what is at `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Orders something.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        order: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(order).map_err(|error| self.strange(&error))?;
        self.ask(Method::POST, path, body.into()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Error> {
        let exchange = timeout(self.patience, self.exchange(method, path, body)).await;
        let (status, body) = exchange.map_err(|_| Error::Timeout {
            data: self.data.clone(),
            patience: self.patience,
        })??;
        // A server of which no store is well is asked no less than another.
        if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE {
            return serde_json::from_slice(&body).map_err(|error| self.strange(&error));
        }
        let said: Option<Said> = serde_json::from_slice(&body).ok();
        let reason = said.map_or_else(|| format!("the server answered {status}"), |it| it.error);
        Err(Error::Denied { status, reason })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Error> {
        let stream = socket::connect(&self.data).await;
        let stream = stream.map_err(|error| self.unreachable(&error))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.strange(&error))?;
        let mut tasks = JoinSet::new();
        // How it ends does not matter: the answer says whether it came.
        tasks.spawn(async move { connection.await.ok() });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.strange(&error))?;
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| self.strange(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| self.strange(&error))?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, error: &std::io::Error) -> Error {
        let data = self.data.clone();
        let kind = error.kind();
        if kind == ErrorKind::PermissionDenied {
            let uid = socket::owner(&data);
            return Error::Forbidden { data, uid };
        }
        let nobody = [
            ErrorKind::NotFound,
            ErrorKind::ConnectionRefused,
            ErrorKind::NotADirectory,
        ];
        if !nobody.contains(&kind) {
            return self.strange(error);
        }
        let journals = data.join("journals");
        match journals.is_dir() && journal::is_in_use(&journals) {
            true => Error::Deaf { data },
            false => Error::NoServer { data },
        }
    }

    fn strange(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Strange {
            data: self.data.clone(),
            reason: error.to_string(),
        }
    }
}

/// What the server answers instead of what was asked for.
#[derive(serde::Deserialize)]
struct Said {
    error: String,
}

/// Who asks, as the system knows them; the server adds the user id that the socket tells.
pub(super) fn user() -> String {
    // Behind sudo it is still a person.
    let names = ["SUDO_USER", "USER", "LOGNAME"].into_iter();
    let mut names = names.filter_map(|name| std::env::var(name).ok());
    names.find(|name| !name.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::fake::Fake;
    use super::*;

    async fn complaint(client: &Client) -> String {
        client.get::<Value>("/").await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_folder_without_a_server_is_told_with_its_full_path() {
        let folder = TempDir::new().unwrap();
        let data = folder.path();
        let nobody = format!(
            "no server runs on data folder {}; start it with `quartermaster serve`, or name its data folder with --data",
            data.display()
        );
        assert_eq!(complaint(&Client::on(data)).await, nobody);
        // What a server leaves behind that was killed.
        drop(std::os::unix::net::UnixListener::bind(data.join("control.sock")).unwrap());
        assert_eq!(complaint(&Client::on(data)).await, nobody);

        fs::create_dir(data.join("journals")).unwrap();
        let lock = crate::sqlite::lock(&data.join("journals")).unwrap();
        let text = complaint(&Client::on(data)).await;
        assert!(text.contains("takes no orders yet"), "{text}");
        drop(lock);

        let text = complaint(&Client::on(Path::new("nowhere"))).await;
        let here = std::env::current_dir().unwrap().join("nowhere");
        assert!(text.contains(&*here.to_string_lossy()), "{text}");
    }

    #[tokio::test]
    async fn another_users_socket_is_told_with_the_user() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = TempDir::new().unwrap();
        let client = Client::on(folder.path());
        let uid = fs::metadata(folder.path()).unwrap().uid();
        // Who runs as root is never refused by the system.
        let refused = std::io::Error::from(ErrorKind::PermissionDenied);
        let text = client.unreachable(&refused).to_string();
        let wanted = format!("only from its own user (uid {uid}) and from root");
        assert!(text.contains(&wanted), "{text}");
    }

    #[tokio::test]
    async fn a_server_is_reached_however_long_its_path_is() {
        let answers = [("GET /", StatusCode::OK, json!("here"))];
        for length in [1, 60, 90, 110, 250] {
            let server = Fake::in_subfolder(&"x".repeat(length), &answers).await;
            let answer: String = server.client().get("/").await.unwrap();
            assert_eq!(answer, "here", "{length}");
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_given_up() {
        let folder = TempDir::new().unwrap();
        let _silent =
            std::os::unix::net::UnixListener::bind(folder.path().join("control.sock")).unwrap();
        let client = Client::on(folder.path()).patient(Duration::from_millis(20));
        let text = complaint(&client).await;
        assert!(text.contains("has not answered within 20ms"), "{text}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_servers_words_and_with_the_name_that_was_meant() {
        let unknown = json!({ "error": "no store shp runs here" });
        let answers = [
            ("GET /unknown", StatusCode::NOT_FOUND, unknown),
            ("GET /odd", StatusCode::INTERNAL_SERVER_ERROR, json!(7)),
            ("GET /other", StatusCode::OK, json!({ "x": 1 })),
        ];
        let server = Fake::new(&answers).await;
        let client = server.client();
        let ask = async |path: &str| client.get::<u64>(path).await.unwrap_err();
        let known = ["desk", "shop"];
        let suggested = ask("/unknown").await.suggest("shp", &known).to_string();
        assert_eq!(suggested, "no store shp runs here; did you mean shop?");
        let unknown = ask("/unknown").await.suggest("zzz", &known).to_string();
        assert_eq!(unknown, "no store shp runs here");
        let odd = ask("/odd").await.suggest("shp", &known).to_string();
        assert_eq!(odd, "the server answered 500 Internal Server Error");
        let text = ask("/other").await.to_string();
        assert!(text.contains("is it of the same version"), "{text}");
    }

    #[test]
    fn the_data_folder_is_the_configurations_unless_it_is_named() {
        let folder = TempDir::new().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let main = folder.path().join("quartermaster.toml");
        let environment = Environment::default();
        fs::write(&main, "[server]\ndata = \"/var/lib/qm\"\n").unwrap();
        let found = data_folder(&location, &environment).unwrap();
        assert_eq!(found, Path::new("/var/lib/qm"));
        // The server that runs may still be on what was right before.
        fs::write(&main, "[server]\ndata = \"/var/lib/qm\"\nlisten = 1\n").unwrap();
        let found = data_folder(&location, &environment).unwrap();
        assert_eq!(found, Path::new("/var/lib/qm"));
        fs::write(&main, "[server]\ndata = 1\n").unwrap();
        let error = data_folder(&location, &environment).unwrap_err();
        assert!(
            matches!(error.downcast_ref(), Some(Refusal::Config(text)) if text.contains("with --data"))
        );
        let named = Running::named(Path::new("/elsewhere"));
        let client = named.client(&location, &environment).unwrap();
        assert_eq!(client.data, Path::new("/elsewhere"));
    }
}
