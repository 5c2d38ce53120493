//! Manifests and blobs out of a repository (OCI distribution specification, "Pull").

use reqwest::header::{ACCEPT, CONTENT_TYPE, RANGE};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::Descriptor;
use super::location::{self, Location};
use super::session::{Refusal, Session};
use crate::model::image_reference::Digest;

/// The largest manifest that registries take, and that is read.
const MANIFEST_LIMIT: usize = 4 << 20;

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

impl Session {
    /// The manifest that a tag or digest names; `None` where there is none.
    pub(in crate::image) async fn manifest(&self, reference: &str) -> Result<Option<FoundManifest>, Refusal> {
        let place = self.place(&format!("manifests/{reference}"))?;
        let asked = self.send(Method::GET, &place, |request| async { Ok(request.header(ACCEPT, KINDS)) }).await;
        let mut response = match asked {
            Err(refusal) if refusal.status() == Some(StatusCode::NOT_FOUND) => return Ok(None),
            other => other?,
        };
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| broken(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MANIFEST_LIMIT {
                return Err(Refusal::Own(format!("the manifest of `{reference}` is larger than any may be")));
            }
        }
        let digest = Digest::of_sha256(Sha256::digest(&bytes).into());
        if reference.starts_with("sha256:") && digest.as_str() != reference {
            return Err(Refusal::Own(format!("the registry gave `{digest}` for `{reference}`")));
        }
        Ok(Some(FoundManifest { digest, kind, bytes }))
    }

    /// A part of a blob, which comes while it is read. A registry may send elsewhere for it; nobody is told the token there.
    pub(in crate::image) async fn open(&self, blob: &Descriptor, start: u64, length: u64) -> Result<Response, Refusal> {
        let range = (start > 0 || length < blob.size).then(|| format!("bytes={start}-{}", start + length - 1));
        let mut place = self.place(&format!("blobs/{}", blob.digest))?;
        // One step is what registries take; more would be a circle.
        for _ in 0..3 {
            let response = self
                .exchange(Method::GET, &place, |request| async {
                    Ok(match &range {
                        Some(range) => request.header(RANGE, range),
                        None => request,
                    })
                })
                .await?;
            if response.status().is_redirection() {
                place = elsewhere(&response, &place)?;
                continue;
            }
            let given = response.content_length();
            if given.is_some_and(|given| given != length) {
                let words =
                    format!("the registry gives {} bytes of `{}`, not {length}", given.unwrap_or(0), blob.digest);
                return Err(Refusal::Own(words));
            }
            return Ok(response);
        }
        Err(Refusal::Own(format!("the registry sends in circles for `{}`", blob.digest)))
    }
}

fn elsewhere(response: &Response, asked: &Location) -> Result<Location, Refusal> {
    location::of(response, &asked.url)
}

/// An answer that broke off.
pub(in crate::image) fn broken(error: &reqwest::Error) -> Refusal {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    Refusal::Lost(format!("the answer broke off: {source}"))
}
