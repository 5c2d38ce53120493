//! Manifests and blobs out of a repository (OCI distribution specification, "Pull"). Nothing that an answer says is
//! believed: not its length, not its digest, and of where it sends no more than [`location`] allows.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, RANGE};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::Descriptor;
use super::IMAGE_INDEX;
use super::location::{self, Location};
use super::ready::piece;
use super::refusal::Refusal;
use super::session::Session;
use crate::model::image_reference::Digest;

/// The longest manifest; registries take no longer ones (distribution specification, "Pushing Manifests").
const LONGEST_MANIFEST: usize = 4 << 20;

/// The most pages of a list that are read.
const PAGES: usize = 50;

/// How often a registry may send a request elsewhere.
const REDIRECTS: usize = 5;

/// The forms of manifests: Harbor shows none that was not asked for by name.
const KINDS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest, as it came.
#[derive(Debug, Clone)]
pub(in crate::image) struct FoundManifest {
    pub(in crate::image) digest: Digest,
    /// Its media type.
    pub(in crate::image) kind: String,
    pub(in crate::image) bytes: Vec<u8>,
}

/// A blob on its way.
pub(in crate::image) struct Coming {
    answer: Response,
    _connection: Option<OwnedSemaphorePermit>,
}

impl Coming {
    /// Its next piece; `None` at its end.
    pub(in crate::image) async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        piece(&mut self.answer).await
    }
}

/// The digest that a registry says a manifest has.
pub(super) fn digest_in(answer: &Response) -> Option<Digest> {
    let said = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
    said.and_then(|digest| digest.parse().ok())
}

/// The body of an answer that must not be long.
async fn limited(answer: &mut Response, what: &str) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = piece(answer).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST_MANIFEST {
            return Err(Refusal::Own(format!("{what} has more than {} MiB", LONGEST_MANIFEST >> 20)));
        }
    }
    Ok(bytes)
}

impl Session {
    /// The digest that a tag stands for at this moment; none where the registry does not say it.
    pub(in crate::image) async fn digest_of(&self, tag: &str) -> Result<Option<Digest>, Refusal> {
        match self.get(Method::HEAD, &format!("manifests/{tag}"), Some((ACCEPT, KINDS))).await {
            Ok(answer) => Ok(digest_in(&answer)),
            // Why it is a bad request, only the answer to a `GET` says.
            Err(refusal) if refusal.status() == Some(StatusCode::BAD_REQUEST) => {
                self.manifest(tag).await.map(|found| Some(found.digest))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The manifest that a tag or digest names; `None` where there is none.
    pub(in crate::image) async fn find_manifest(&self, name: &str) -> Result<Option<FoundManifest>, Refusal> {
        match self.manifest(name).await {
            Err(refusal) if refusal.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            other => other.map(Some),
        }
    }

    /// The manifest that a tag or digest names; one that is asked for by digest has that digest.
    pub(in crate::image) async fn manifest(&self, name: &str) -> Result<FoundManifest, Refusal> {
        let mut answer = self.get(Method::GET, &format!("manifests/{name}"), Some((ACCEPT, KINDS))).await?;
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = limited(&mut answer, &format!("the manifest `{name}`")).await?;
        let digest = Digest::of_sha256(Sha256::digest(&bytes).into());
        if name.contains(':') && name != digest.as_str() {
            return Err(Refusal::Own(format!("the registry gave the manifest `{digest}` for `{name}`")));
        }
        Ok(FoundManifest { digest, kind, bytes })
    }

    /// The digests of the manifests that name this one as their subject (OCI distribution specification, "Listing
    /// Referrers"); `None` where the registry keeps no such list.
    pub(in crate::image) async fn referrers(&self, subject: &Digest) -> Result<Option<Vec<Digest>>, Refusal> {
        let mut found = Vec::new();
        let mut page = self.place(&format!("referrers/{subject}"))?;
        for _ in 0..PAGES {
            let mut answer = match self.get_at(Method::GET, page.clone(), Some((ACCEPT, IMAGE_INDEX))).await {
                Ok(answer) => answer,
                // Registries that were made before the list was, and know no such path.
                Err(refusal)
                    if matches!(refusal.status().map(|status| status.as_u16()), Some(400 | 404 | 405 | 501)) =>
                {
                    return Ok(None);
                }
                Err(refusal) => return Err(refusal),
            };
            let next = location::next(&answer, &page.url);
            let bytes = limited(&mut answer, "the list of referrers").await?;
            let index: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let Some(manifests) = index["manifests"].as_array() else { return Ok(None) };
            found.extend(manifests.iter().filter_map(|manifest| manifest["digest"].as_str()?.parse().ok()));
            match next {
                Some(next) => page = next,
                None => return Ok(Some(found)),
            }
        }
        Err(Refusal::Own(format!("the list of what refers to `{subject}` has more than {PAGES} pages")))
    }

    /// A blob, to be read and checked by the caller. Until it is dropped it is one of the registry's requests.
    pub(in crate::image) async fn blob(&self, blob: &Descriptor) -> Result<Coming, Refusal> {
        let place = self.place(&format!("blobs/{}", blob.digest))?;
        self.held_at(Method::GET, place, None)
            .await
            .map(|(answer, connection)| Coming { answer, _connection: connection })
    }

    /// A part of a blob, which comes while it is read.
    pub(in crate::image) async fn open(&self, blob: &Descriptor, start: u64, length: u64) -> Result<Response, Refusal> {
        let range = (start > 0 || length < blob.size).then(|| format!("bytes={start}-{}", start + length - 1));
        let header = range.as_deref().map(|range| (RANGE, range));
        let answer = self.get(Method::GET, &format!("blobs/{}", blob.digest), header).await?;
        match answer.content_length() {
            Some(given) if given != length => {
                Err(Refusal::Own(format!("the registry gives {given} bytes of `{}`, not {length}", blob.digest)))
            }
            _ => Ok(answer),
        }
    }

    /// Asks, wherever the registry sends the question.
    async fn get(&self, method: Method, path: &str, header: Option<(HeaderName, &str)>) -> Result<Response, Refusal> {
        self.get_at(method, self.place(path)?, header).await
    }

    async fn get_at(
        &self,
        method: Method,
        place: Location,
        header: Option<(HeaderName, &str)>,
    ) -> Result<Response, Refusal> {
        self.held_at(method, place, header).await.map(|(answer, _)| answer)
    }

    async fn held_at(
        &self,
        method: Method,
        mut place: Location,
        header: Option<(HeaderName, &str)>,
    ) -> Result<(Response, Option<OwnedSemaphorePermit>), Refusal> {
        for _ in 0..=REDIRECTS {
            let (answer, connection) = self
                .held(method.clone(), &place, |request| async {
                    Ok(match &header {
                        Some((name, value)) => request.header(name, *value),
                        None => request,
                    })
                })
                .await?;
            if !answer.status().is_redirection() {
                return Ok((answer, connection));
            }
            let own = place.own;
            place = self.named(&answer, &place)?;
            // Who was sent away once has no token any more, wherever it is sent then.
            place.own &= own;
        }
        Err(Refusal::Own(format!("the registry sends elsewhere more than {REDIRECTS} times")))
    }
}
