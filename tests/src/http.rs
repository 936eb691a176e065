//! As much of HTTP as the host's own pages need.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Gets `path` from the server at `address`.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    // HTTP/1.0, so that the body is neither chunked nor followed by anything.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    ask(address, &request).await
}

/// Posts JSON to `path` of the server at `address`.
pub async fn post(address: SocketAddr, path: &str, body: &str) -> Result<Answer> {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    ask(address, &request).await
}

async fn ask(address: SocketAddr, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    // Not always to the end: workerd keeps the connection for some seconds, whatever it was asked to do.
    while !is_whole(&bytes) && stream.read_buf(&mut bytes).await? > 0 {}
    let text = String::from_utf8(bytes)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("an HTTP answer without a body")?;
    let status = head
        .split(' ')
        .nth(1)
        .context("an HTTP answer without a status")?;
    Ok(Answer {
        status: status.parse()?,
        body: body.to_owned(),
    })
}

/// Whether an answer that says how long it is has arrived.
fn is_whole(bytes: &[u8]) -> bool {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= end + 4 + length)
}
