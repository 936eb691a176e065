//! The chat page of demo mode under `/demo/`: the built-in one, which speaks the sync protocol by itself, or a bundle
//! from a folder. It exists only in demo mode, hands out nothing but plain files of that one folder, and neither knows
//! nor changes anything of the host.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{self, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tracing::warn;

/// The page that needs no build.
const BUILT_IN: &str = include_str!("demo/index.html");

/// What a folder of the demo may hold, by the ends of names, and what a browser must be told that it is: it runs
/// neither modules nor workers nor WebAssembly of another type. All else is not handed out.
const CONTENT_TYPES: [(&str, &str); 5] = [
    (".html", "text/html; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".svg", "image/svg+xml"),
    (".wasm", "application/wasm"),
];

/// The page of one host.
#[derive(Clone, Debug)]
pub struct Demo {
    /// None: the built-in page.
    folder: Option<Arc<Path>>,
}

impl Demo {
    /// The page that needs no build.
    pub fn built_in() -> Self {
        Self { folder: None }
    }

    /// The page that lies in `folder` as `index.html`; an error if none does.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        std::fs::metadata(folder.join("index.html"))?;
        Ok(Self {
            folder: Some(folder.into()),
        })
    }

    /// `/demo/` and what lies beside it.
    pub fn router(self) -> Router {
        Router::new()
            .route("/demo", get(to_the_page))
            .route("/demo/", get(page))
            .route("/demo/{file}", get(file))
            .with_state(self)
    }

    /// The file with this name and its type; None if there is none that may be handed out.
    async fn file(&self, name: &str) -> Option<(Vec<u8>, &'static str)> {
        let content_type = content_type(name)?;
        let Some(folder) = &self.folder else {
            return (name == "index.html").then(|| (BUILT_IN.into(), content_type));
        };
        match tokio::fs::read(folder.join(name)).await {
            Ok(content) => Some((content, content_type)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(name, %error, "cannot read a file of the demo page");
                None
            }
        }
    }
}

/// The page names its files from where it lies, so the slash matters; what the address asks for goes along.
async fn to_the_page(RawQuery(query): RawQuery) -> Redirect {
    match query {
        Some(query) => Redirect::permanent(&format!("/demo/?{query}")),
        None => Redirect::permanent("/demo/"),
    }
}

async fn page(state: State<Demo>) -> Response {
    file(state, extract::Path("index.html".to_owned())).await
}

async fn file(State(demo): State<Demo>, extract::Path(name): extract::Path<String>) -> Response {
    let Some((content, content_type)) = demo.file(&name).await else {
        return (StatusCode::NOT_FOUND, "the demo has no such file\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        // Built anew, it is looked at anew.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content).into_response()
}

/// The type of a file that may be handed out. None for anything but a plain name of a known kind: a path, however it is
/// spelled, holds a character that a plain name has not.
fn content_type(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.chars().all(is_plain) || name.starts_with('.') {
        return None;
    }
    let known = CONTENT_TYPES.iter().find(|(end, _)| name.ends_with(end));
    known.map(|&(_, content_type)| content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_built_in_page_is_all_there_is_without_a_folder() {
        let demo = Demo::built_in();
        let (page, content_type) = demo.file("index.html").await.unwrap();
        assert!(page.starts_with(b"<!doctype html>"));
        assert!(content_type.starts_with("text/html"));
        assert_eq!(demo.file("page.js").await, None);
    }

    #[tokio::test]
    async fn a_folder_gives_its_plain_files_of_known_kinds_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("page");
        std::fs::create_dir_all(inside.join("more.js")).unwrap();
        for name in ["index.html", "sqlite.wasm", "notes.txt", ".hidden.js"] {
            std::fs::write(inside.join(name), name).unwrap();
        }
        std::fs::write(folder.path().join("secret.js"), "secret").unwrap();
        let demo = Demo::in_folder(&inside).unwrap();
        let wasm = demo.file("sqlite.wasm").await.unwrap();
        assert_eq!(wasm, (b"sqlite.wasm".to_vec(), "application/wasm"));
        for name in [
            "notes.txt",
            ".hidden.js",
            "missing.js",
            "more.js",
            "../secret.js",
            "..\\secret.js",
            "/secret.js",
            "..",
            "",
            ".js",
        ] {
            assert_eq!(demo.file(name).await, None, "{name}");
        }
    }

    #[test]
    fn a_folder_without_a_page_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Demo::in_folder(folder.path()).is_err());
    }
}
