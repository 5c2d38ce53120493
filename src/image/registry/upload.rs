//! Blobs and manifests into a repository (OCI distribution specification, "Push").
//!
//! A small blob takes `POST` and `PUT`; a large one is streamed by `PATCH`, so that a refusal comes with its words
//! (Harbor answers a large `PUT` over quota with a broken connection); one that is too large for a proxy in between goes
//! in chunks. An answer that is lost is looked for by `HEAD` before anything is sent again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{TryStreamExt as _, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use reqwest::{Body, Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::Descriptor;
use super::alone::alone;
use super::download::digest_in;
use super::location::Location;
use super::meter::Meter;
use super::ready::{Ready, piece};
use super::refusal::Refusal;
use super::session::Session;
use crate::harbor::refusal;
use crate::image::push::{ATTEMPTS, LONGEST_PAUSE, backoff};
use crate::model::image_reference::Digest;

/// Up to here one request carries the bytes and ends the upload.
const SMALL: u64 = 1 << 20;

/// What is sent at a time where a proxy takes no more.
const CHUNK: u64 = 4 << 20;

/// How much of a file is read at a time.
const BUFFER: usize = 1 << 18;

/// Repositories that a blob is looked for in.
const SOURCES: usize = 3;

/// How a blob came to be in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::image) enum Brought {
    There,
    /// From this repository.
    Mounted(String),
    Sent,
}

/// Where the bytes of a blob come from.
#[derive(Clone, Copy)]
pub(in crate::image) enum Content<'a> {
    /// A file, from this byte on.
    File(&'a Path, u64),
    /// Another repository; nothing is kept on the way.
    Registry(&'a Session),
}

impl Session {
    /// Whether the repository has the blob.
    pub(in crate::image) async fn has(&self, blob: &Descriptor) -> Result<bool, Refusal> {
        let place = self.place(&format!("blobs/{}", blob.digest))?;
        // Who sends elsewhere for the bytes has them: registries whose storage is asked directly answer so.
        match self.exchange(Method::HEAD, &place, |request| async { Ok(request) }).await {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.status() == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Sees to it that the repository has the blob, mounted from one of `sources` or sent.
    pub(in crate::image) async fn bring(
        &self,
        blob: &Descriptor,
        sources: &[String],
        content: Content<'_>,
    ) -> Result<Brought, Refusal> {
        let (mut attempt, mut renewed, mut shown) = (1, false, None);
        let _alone = alone(&self.name, &blob.digest).await;
        loop {
            // What broke off may have been a refusal of the bytes, which a `PUT` without any tells in words.
            let small = blob.size <= SMALL && attempt == 1;
            let refusal = match self.once(blob, sources, (content, small), &mut shown).await {
                Ok(brought) => return Ok(brought),
                Err(refusal) => refusal,
            };
            // Or of the token, which is no outage and nothing to wait for.
            if !renewed && refusal.breaks_off() && self.had_expired(shown.as_ref(), blob).await {
                renewed = true;
                continue;
            }
            let pause = refusal.retry_after().unwrap_or_else(|| backoff(attempt));
            let again = refusal.may_pass() || refusal.is_upload_gone();
            if !again || attempt == ATTEMPTS || pause > LONGEST_PAUSE {
                return Err(refusal);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// How the repository has the blob without its bytes being sent; `None` where it has not.
    pub(in crate::image) async fn known(
        &self,
        blob: &Descriptor,
        sources: &[String],
    ) -> Result<Option<Brought>, Refusal> {
        // After a lost answer the blob may be there; at first it may be there from another build.
        if self.has(blob).await? {
            return Ok(Some(Brought::There));
        }
        // Each costs a request; the bytes of most blobs cost no more than a few.
        for source in sources.iter().take(SOURCES) {
            if self.mount(blob, source).await? {
                return Ok(Some(Brought::Mounted(source.clone())));
            }
        }
        Ok(None)
    }

    /// As [`Session::bring`], tried once.
    pub(in crate::image) async fn bring_once(
        &self,
        blob: &Descriptor,
        sources: &[String],
        content: Content<'_>,
    ) -> Result<Brought, Refusal> {
        let _alone = alone(&self.name, &blob.digest).await;
        self.once(blob, sources, (content, blob.size <= SMALL), &mut None).await
    }

    /// Sends a blob that nobody has been asked for, tried once.
    pub(in crate::image) async fn bring_new(
        &self,
        blob: &Descriptor,
        content: Content<'_>,
    ) -> Result<Brought, Refusal> {
        let _alone = alone(&self.name, &blob.digest).await;
        self.sent(blob, (content, blob.size <= SMALL), &mut None).await
    }

    async fn once(
        &self,
        blob: &Descriptor,
        sources: &[String],
        (content, small): (Content<'_>, bool),
        shown: &mut Option<String>,
    ) -> Result<Brought, Refusal> {
        match self.known(blob, sources).await? {
            Some(brought) => Ok(brought),
            None => self.sent(blob, (content, small), shown).await,
        }
    }

    async fn sent(
        &self,
        blob: &Descriptor,
        (content, small): (Content<'_>, bool),
        shown: &mut Option<String>,
    ) -> Result<Brought, Refusal> {
        let begun = self.begin().await?;
        *shown = self.shown().await;
        let sent =
            if small { self.put(&begun, blob, Some(content)).await } else { self.patch(begun, blob, content).await };
        match sent {
            Err(refusal) if refusal.status() == Some(StatusCode::PAYLOAD_TOO_LARGE) => {
                let begun = self.begin().await?;
                self.chunks(begun, blob, content).await
            }
            other => other,
        }
        .map(|()| Brought::Sent)
    }

    /// Whether the registry took the blob from another of its repositories. Where it may not be read there, or is not
    /// there, the bytes are sent; what the project refuses, it would refuse after all of them too.
    async fn mount(&self, blob: &Descriptor, source: &str) -> Result<bool, Refusal> {
        let mut place = self.place("blobs/uploads/")?;
        place.url.query_pairs_mut().append_pair("mount", blob.digest.as_str()).append_pair("from", source);
        match self.send(Method::POST, &place, |request| async { Ok(request.header(CONTENT_LENGTH, 0)) }).await {
            Ok(answer) => Ok(answer.status() == StatusCode::CREATED),
            Err(refused) if refused.status() == Some(StatusCode::FORBIDDEN) => {
                if refusal(&refused.to_string()).is_some() { Err(refused) } else { Ok(false) }
            }
            Err(_) => Ok(false),
        }
    }

    pub(super) async fn begin(&self) -> Result<Location, Refusal> {
        let place = self.place("blobs/uploads/")?;
        let answer = self.send(Method::POST, &place, |request| async { Ok(request.header(CONTENT_LENGTH, 0)) }).await?;
        self.named(&answer, &place)
    }

    /// All bytes at once, or none where they were sent before; ends the upload.
    pub(super) async fn put(
        &self,
        at: &Location,
        blob: &Descriptor,
        content: Option<Content<'_>>,
    ) -> Result<(), Refusal> {
        let mut at = at.clone();
        at.url.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        self.send(Method::PUT, &at, |request| async move {
            Ok(match content {
                Some(content) => part(request, content, blob, (0, blob.size), &self.meter).await?,
                None => Ready::storing(request.header(CONTENT_LENGTH, 0)),
            })
        })
        .await
        .map(drop)
    }

    async fn patch(&self, at: Location, blob: &Descriptor, content: Content<'_>) -> Result<(), Refusal> {
        let answer =
            self.send(Method::PATCH, &at, |request| part(request, content, blob, (0, blob.size), &self.meter)).await?;
        self.put(&self.named(&answer, &at)?, blob, None).await
    }

    async fn chunks(&self, mut at: Location, blob: &Descriptor, content: Content<'_>) -> Result<(), Refusal> {
        let mut start = 0;
        while start < blob.size {
            let length = CHUNK.min(blob.size - start);
            let range = format!("{start}-{}", start + length - 1);
            let answer = self
                .send(Method::PATCH, &at, |request| {
                    part(request.header(CONTENT_RANGE, &range), content, blob, (start, length), &self.meter)
                })
                .await?;
            at = self.named(&answer, &at)?;
            start += length;
        }
        self.put(&at, blob, None).await
    }

    /// Gives the repository a manifest under a tag; gives the digest that the registry has it by, where it says so.
    pub(in crate::image) async fn put_manifest(
        &self,
        tag: &str,
        kind: &str,
        bytes: &[u8],
    ) -> Result<Option<Digest>, Refusal> {
        let place = self.place(&format!("manifests/{tag}"))?;
        let request =
            |request: reqwest::RequestBuilder| async { Ok(request.header(CONTENT_TYPE, kind).body(bytes.to_vec())) };
        self.send(Method::PUT, &place, request).await.map(|answer| digest_in(&answer))
    }
}

/// What the other registry said, which is not what the one said that is sent to.
fn withheld(refusal: &Refusal) -> Refusal {
    let words = format!("the registry that it comes from does not give the blob: {refusal}");
    if refusal.may_pass() { Refusal::Lost(words) } else { Refusal::Own(words) }
}

/// A request with a part of a blob as its body, read while it is sent.
async fn part(
    request: reqwest::RequestBuilder,
    content: Content<'_>,
    blob: &Descriptor,
    (start, length): (u64, u64),
    meter: &Meter,
) -> Result<Ready, Refusal> {
    let sent = meter.begin(blob, start);
    let counter = Arc::clone(&sent);
    let count = move |piece: &[u8]| {
        counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
    };
    let body = match content {
        Content::Registry(source) => {
            let opened = source.open(blob, start, length).await.map_err(|refusal| withheld(&refusal))?;
            let pieces = stream::try_unfold(opened, |mut opened| async {
                Ok::<_, Refusal>(piece(&mut opened).await?.map(|piece| (piece, opened)))
            });
            Body::wrap_stream(pieces.inspect_ok(move |piece| count(piece)))
        }
        Content::File(file, offset) => {
            let unreadable =
                |error: std::io::Error| Refusal::Own(format!("`{}` cannot be read: {error}", file.display()));
            let mut open = tokio::fs::File::open(file).await.map_err(unreadable)?;
            open.seek(std::io::SeekFrom::Start(offset + start)).await.map_err(unreadable)?;
            let pieces = ReaderStream::with_capacity(open.take(length), BUFFER);
            Body::wrap_stream(pieces.inspect_ok(move |piece| count(piece)))
        }
    };
    let kind = "application/octet-stream";
    let request = request.header(CONTENT_TYPE, kind).header(CONTENT_LENGTH, length).body(body);
    Ok(Ready::counted(request, sent))
}
