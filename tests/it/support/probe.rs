//! Asks a container's port, until it answers or a deadline passes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a port that does not answer yet is asked again.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// Status and body of a GET over HTTP/1.1; some servers take nothing older.
pub(crate) async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    // Not every server closes when it is done, although it was asked to.
    let answer = exchange(address, &request, is_whole).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no HTTP answer: {answer:?}")))?;
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    Ok((status, if chunked { joined(body) } else { body.to_owned() }))
}

/// Whether an answer has all that its head says; one that says nothing ends with the connection.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let head = head.to_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.and_then(|length| length.trim().parse::<usize>().ok()).is_some_and(|length| body.len() >= length)
}

/// The chunks of a body without their lengths (RFC 9112, section 7.1).
fn joined(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = length.split(';').next().and_then(|length| usize::from_str_radix(length.trim(), 16).ok());
        // A replaced byte of another encoding may be longer than it was: what is left is taken as it is.
        let Some((chunk, after)) = length.filter(|length| *length > 0).and_then(|length| rest.split_at_checked(length))
        else {
            break;
        };
        text.push_str(chunk);
        body = after.trim_start_matches("\r\n");
    }
    text
}

/// What answers to some bytes, until the peer closes or `enough` says so.
pub(crate) async fn exchange(address: &str, send: &str, enough: impl Fn(&str) -> bool) -> std::io::Result<String> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(send.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        loop {
            let read = stream.read(&mut part).await?;
            answer.extend_from_slice(&part[..read]);
            if read == 0 || enough(&String::from_utf8_lossy(&answer)) {
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
        }
    };
    timeout(PATIENCE, talk).await.unwrap_or_else(|_| Err(std::io::Error::other("no answer in time")))
}

/// Tries until it works; the last error when the deadline has passed or `alive` says that it is in vain.
pub(crate) async fn until<T, F, A>(
    deadline: Duration,
    mut attempt: impl FnMut() -> F,
    mut alive: impl FnMut() -> A,
) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
    A: Future<Output = bool>,
{
    let end = Instant::now() + deadline;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= end => return Err(format!("not within {deadline:?}: {error}")),
            Err(error) if !alive().await => return Err(format!("the container has ended: {error}")),
            Err(_) => sleep(INTERVAL).await,
        }
    }
}
