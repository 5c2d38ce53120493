//! Requests that are ready to be sent. One is given up where nothing moves any more, and not since its body is long: a
//! gigabyte takes a site's slow line an hour.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{RequestBuilder, Response};

use super::TIMEOUT;
use super::refusal::{Refusal, lost};

/// How long nothing may move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Between two pieces of what is sent or comes, and from the last to the answer.
    pub(super) still: Duration,
    /// While the registry stores what it was sent: one whose storage is elsewhere copies it there.
    pub(super) storing: Duration,
}

impl Patience {
    pub(super) const USUAL: Self = Self { still: TIMEOUT.saturating_mul(4), storing: TIMEOUT.saturating_mul(20) };
}

/// A request, and what tells that it is still on its way.
pub(super) struct Ready {
    request: RequestBuilder,
    /// Bytes of its body that were taken.
    sent: Option<Arc<AtomicU64>>,
    stores: bool,
}

impl From<RequestBuilder> for Ready {
    fn from(request: RequestBuilder) -> Self {
        Self { request, sent: None, stores: false }
    }
}

impl Ready {
    /// With a body, whose bytes are counted while they are taken.
    pub(super) fn counted(request: RequestBuilder, sent: Arc<AtomicU64>) -> Self {
        Self { request, sent: Some(sent), stores: false }
    }

    /// The end of an upload, which is answered when all of it is stored.
    pub(super) fn storing(request: RequestBuilder) -> Self {
        Self { request, sent: None, stores: true }
    }

    /// Sends it, and awaits what it is answered for as long as its body moves.
    pub(super) async fn send(self, patience: Patience) -> Result<Response, Refusal> {
        let Self { request, sent, stores } = self;
        let mut answer = pin!(request.send());
        let most = if stores { patience.storing } else { patience.still };
        let taken = || sent.as_ref().map(|sent| sent.load(Ordering::Relaxed));
        let mut before = taken();
        loop {
            if let Ok(answer) = tokio::time::timeout(most, &mut answer).await {
                return answer.map_err(|error| lost(&error));
            }
            let now = taken();
            if now == before {
                return Err(still(most));
            }
            before = now;
        }
    }
}

/// The next piece of an answer's body; `None` at its end.
pub(in crate::image) async fn piece(answer: &mut Response) -> Result<Option<Bytes>, Refusal> {
    let most = Patience::USUAL.still;
    let piece = tokio::time::timeout(most, answer.chunk()).await.map_err(|_| still(most))?;
    piece.map_err(|error| lost(&error))
}

fn still(most: Duration) -> Refusal {
    Refusal::Lost(format!("no answer: nothing has moved for {} s", most.as_secs()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;
    use crate::image::RegistryAccess;
    use crate::image::registry::Descriptor;
    use crate::image::registry::session::Session;
    use crate::image::registry::upload::{Brought, Content};

    /// What a registry takes its time for.
    #[derive(Clone, Copy, Default)]
    struct Pauses {
        /// Before each mebibyte of a body.
        piece: Duration,
        /// Before the end of an upload is answered.
        end: Duration,
        /// Nothing is read of a body.
        dead: bool,
    }

    /// A registry that lacks every blob, and takes it.
    fn registry(pauses: Pauses) -> String {
        let socket = TcpSocket::new_v4().unwrap();
        // So that what is sent waits for what is read.
        socket.set_recv_buffer_size(1 << 16).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(16).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(accept(listener, pauses));
        host
    }

    async fn accept(listener: TcpListener, pauses: Pauses) {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { while answer(&mut stream, pauses).await.is_some() {} });
        }
    }

    /// Answers one request; `None` at the end of the connection.
    async fn answer(stream: &mut TcpStream, pauses: Pauses) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut left: usize = length.map_or(0, |length| length.parse().unwrap());
        if left > 0 && pauses.dead {
            std::future::pending::<()>().await;
        }
        let mut piece = vec![0; 1 << 20];
        while left > 0 {
            tokio::time::sleep(pauses.piece).await;
            let most = left.min(piece.len());
            left -= stream.read_exact(&mut piece[..most]).await.ok()?;
        }
        let status = match head.split(' ').next().unwrap() {
            "head" => "404 Not Found",
            "put" => {
                tokio::time::sleep(pauses.end).await;
                "201 Created"
            }
            _ => "202 Accepted",
        };
        let text = format!("HTTP/1.1 {status}\r\nLocation: /v2/a/b/blobs/uploads/1\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(text.as_bytes()).await.ok()
    }

    /// Brings a blob of so many mebibytes to such a registry.
    async fn bring(mebibytes: u64, pauses: Pauses, patience: Patience) -> Result<Brought, Refusal> {
        let reference = format!("{}/a/b:1", registry(pauses)).parse().unwrap();
        let mut session = Session::new(&reference, None, &RegistryAccess::default(), &[]).unwrap();
        session.patience = patience;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(mebibytes << 20).unwrap();
        let digest = crate::model::image_reference::Digest::of_sha256([7; 32]);
        let blob = Descriptor { digest, size: mebibytes << 20 };
        session.bring_once(&blob, &[], Content::File(file.path(), 0)).await
    }

    #[tokio::test]
    async fn a_body_takes_as_long_as_it_moves() {
        let patience = Patience { still: Duration::from_secs(3), storing: Duration::from_secs(3) };
        let pauses = Pauses { piece: Duration::from_millis(150), ..Pauses::default() };
        let begun = std::time::Instant::now();
        assert_eq!(bring(24, pauses, patience).await.unwrap(), Brought::Sent);
        assert!(begun.elapsed() > patience.still, "it was not long enough to tell");
    }

    #[tokio::test]
    async fn what_was_sent_may_take_longer_to_be_stored() {
        let patience = Patience { still: Duration::from_secs(1), storing: Duration::from_secs(30) };
        let pauses = Pauses { end: Duration::from_millis(1500), ..Pauses::default() };
        assert_eq!(bring(2, pauses, patience).await.unwrap(), Brought::Sent);
    }

    #[tokio::test]
    async fn what_nobody_reads_is_given_up() {
        let patience = Patience { still: Duration::from_millis(300), storing: Duration::from_secs(30) };
        let refusal = bring(24, Pauses { dead: true, ..Pauses::default() }, patience).await.unwrap_err();
        assert!(refusal.to_string().contains("nothing has moved") && refusal.may_pass(), "{refusal}");
    }
}
