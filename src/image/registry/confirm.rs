//! The digest that a tag has for everyone: asked for with `oci-client`, as other programs would ask.

use oci_client::client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use reqwest::StatusCode;

use super::refusal::Refusal;
use super::session::Session;
use super::{TIMEOUT, USER_AGENT, speaks_plain_http};
use crate::http;
use crate::image::RegistryAccess;
use crate::model::image_reference::{Digest, ImageReference};

impl Session {
    /// Asks by `HEAD` for the digest that a tag names (distribution specification, "Checking if content exists in the
    /// registry"), with the login that this session has by now.
    ///
    /// # Errors
    /// As for every request of a session; [`Refusal::Own`] for an answer that is no digest.
    pub(in crate::image) async fn digest(
        &self,
        reference: &ImageReference,
        access: &RegistryAccess,
    ) -> Result<Digest, Refusal> {
        let tag = reference.tag().map_or("latest", |tag| tag.as_str());
        if access.shown_to(reference).is_some() {
            // It has no client certificates.
            let said = self.digest_of(tag).await?;
            return said.ok_or_else(|| Refusal::Own(format!("the registry names no digest of `{reference}`")));
        }
        let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
        let asked = oci_client::Reference::with_tag(registry, repository, tag.to_owned());
        let client = Client::try_from(configuration(reference, access)).map_err(|error| refusal(&error))?;
        let login = self.shown_login().await;
        // Its future is large, and this one is a part of a build's.
        let said = Box::pin(client.fetch_manifest_digest(&asked, &login)).await;
        let said = said.map_err(|error| refusal(&error))?;
        said.parse().map_err(|_| Refusal::Own(format!("`{}` is no digest", said.escape_debug())))
    }
}

fn configuration(reference: &ImageReference, access: &RegistryAccess) -> ClientConfig {
    let certificates = access.ca_bundle.as_deref().map(http::certificate_texts).unwrap_or_default();
    ClientConfig {
        protocol: if speaks_plain_http(reference, access) { ClientProtocol::Http } else { ClientProtocol::Https },
        extra_root_certificates: certificates
            .into_iter()
            .map(|text| Certificate { encoding: CertificateEncoding::Pem, data: text.into_bytes() })
            .collect(),
        read_timeout: Some(TIMEOUT * 4),
        connect_timeout: Some(TIMEOUT),
        user_agent: USER_AGENT,
        ..ClientConfig::default()
    }
}

/// In the words that [`Refusal`] has for the session's own requests: a `HEAD` is answered without a body.
fn refusal(error: &OciDistributionError) -> Refusal {
    let answered = |status: StatusCode, words: String| Refusal::Answered { status, words, retry_after: None };
    match error {
        OciDistributionError::RequestError(error) => super::refusal::lost(error),
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            answered(StatusCode::UNAUTHORIZED, "unauthorized: authentication required".to_owned())
        }
        OciDistributionError::ServerError { code, .. } => match StatusCode::from_u16(*code) {
            Ok(status) if status.is_server_error() => {
                answered(status, format!("received unexpected HTTP status: {status}"))
            }
            Ok(status) => answered(status, format!("error parsing HTTP {} response", status.as_u16())),
            Err(_) => Refusal::Own(format!("{code} is no status")),
        },
        other => Refusal::Own(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_their_status() {
        let server =
            |code| refusal(&OciDistributionError::ServerError { code, url: String::new(), message: String::new() });
        assert!(server(412).is_gate() && server(503).may_pass() && !server(404).may_pass());
        assert_eq!(server(404).status(), Some(StatusCode::NOT_FOUND));
        assert!(matches!(server(7), Refusal::Own(_)));
        let unauthorized = refusal(&OciDistributionError::UnauthorizedError { url: "https://a/b".into() });
        assert_eq!(unauthorized.to_string(), "unauthorized: authentication required");
    }
}
