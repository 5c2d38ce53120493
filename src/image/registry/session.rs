//! Requests to one repository of a registry: authorised, the token renewed whenever the registry wants it.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::location::Location;
use super::{TIMEOUT, USER_AGENT, install_tls, speaks_plain_http};
use crate::http;
use crate::image::RegistryAccess;
use crate::image::answers::{body, parameter, starts_with_word, token_in, words_of};
use crate::image::credentials::Credentials;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

/// What went wrong with a request; the text is as Go's clients print it, code first, which is what
/// [`crate::image::diagnosis`] reads.
#[derive(Debug, thiserror::Error)]
pub(in crate::image) enum Refusal {
    /// No answer, or one that broke off: it may have been carried out.
    #[error("{0}")]
    Lost(String),
    /// The registry answered.
    #[error("{words}")]
    Answered { status: StatusCode, words: String, retry_after: Option<Duration> },
    /// What was to be sent could not be read.
    #[error("{0}")]
    Own(String),
}

impl Refusal {
    /// Whether the same request may pass a little later.
    pub(in crate::image) fn may_pass(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Answered { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Own(_) => false,
        }
    }

    /// How long the registry wants to be left alone.
    pub(in crate::image) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status of an answer.
    pub(in crate::image) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// One repository, and the account for it.
pub(in crate::image) struct Session {
    http: reqwest::Client,
    pub(super) base: Url,
    pub(super) repository: String,
    account: Option<(String, String)>,
    /// What the token must allow, each as `repository:NAME:ACTIONS`.
    scopes: Vec<String>,
    authorization: Mutex<Option<String>>,
}

impl Session {
    /// For a push; blobs may be mounted from the repositories in `sources`.
    pub(in crate::image) fn new(
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
        sources: &[String],
    ) -> Result<Self, Failure> {
        let own = format!("repository:{}:pull,push", reference.repository());
        let others = sources.iter().map(|source| format!("repository:{source}:pull"));
        Self::with_scopes(reference, credentials, access, [own].into_iter().chain(others).collect())
    }

    /// For a pull.
    pub(in crate::image) fn reading(
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
    ) -> Result<Self, Failure> {
        let own = format!("repository:{}:pull", reference.repository());
        Self::with_scopes(reference, credentials, access, vec![own])
    }

    fn with_scopes(
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
        scopes: Vec<String>,
    ) -> Result<Self, Failure> {
        install_tls();
        let invalid = |why: &dyn std::fmt::Display| {
            let message = format!("The client of the registry `{}` cannot be made: {why}.", reference.registry());
            Failure::new(FailureCode::ConfigurationInvalid, message).hint("Correct `network.ca_bundle`.")
        };
        // The proxies are the environment's, as for everything else. Cookies stay off: Harbor takes one for a browser.
        let mut builder = reqwest::Client::builder()
            .connect_timeout(TIMEOUT)
            .read_timeout(TIMEOUT * 4)
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(bundle) = &access.ca_bundle {
            let certificates = http::certificates(bundle).map_err(|error| invalid(&error))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let scheme = if speaks_plain_http(reference, access) { "http" } else { "https" };
        // The registry of this name is at another.
        let host = if reference.registry() == "docker.io" { "registry-1.docker.io" } else { reference.registry() };
        let base = Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| invalid(&error))?;
        let account = match credentials {
            Some(Credentials::Password { username, password }) => {
                Some((username.clone(), password.expose().to_owned()))
            }
            Some(Credentials::IdentityToken(_)) | None => None,
        };
        Ok(Self {
            http: builder.build().map_err(|error| invalid(&error))?,
            base,
            repository: reference.repository().to_owned(),
            account,
            scopes,
            authorization: Mutex::new(None),
        })
    }

    /// A place of this repository: `blobs/sha256:…`.
    pub(super) fn place(&self, rest: &str) -> Result<Location, Refusal> {
        let path = format!("{}/{rest}", self.repository);
        let url = self.base.join(&path).map_err(|error| Refusal::Own(format!("`{path}`: {error}")))?;
        Ok(Location { url, own: true })
    }

    /// Sends a request that is to be answered here.
    ///
    /// # Errors
    /// [`Refusal::Lost`] without an answer, [`Refusal::Answered`] for any status of 300 and above.
    pub(super) async fn send<F>(
        &self,
        method: Method,
        to: &Location,
        request: impl Fn(RequestBuilder) -> F + Send + Sync,
    ) -> Result<Response, Refusal>
    where
        F: Future<Output = Result<RequestBuilder, Refusal>> + Send,
    {
        let response = self.exchange(method, to, request).await?;
        let status = response.status();
        if status.is_redirection() {
            let words = format!("unsupported: the registry sends elsewhere (status {status})");
            return Err(Refusal::Answered { status, words, retry_after: None });
        }
        Ok(response)
    }

    /// Sends a request, which is made anew for each attempt. Once it is sent again, with a new token, where the
    /// registry does not take the one that it has.
    ///
    /// # Errors
    /// [`Refusal::Lost`] without an answer, [`Refusal::Answered`] for any status of 400 and above.
    pub(super) async fn exchange<F>(
        &self,
        method: Method,
        to: &Location,
        request: impl Fn(RequestBuilder) -> F + Send + Sync,
    ) -> Result<Response, Refusal>
    where
        F: Future<Output = Result<RequestBuilder, Refusal>> + Send,
    {
        let mut renewed = false;
        loop {
            let used = if to.own { self.authorization.lock().await.clone() } else { None };
            let mut builder = self.http.request(method.clone(), to.url.clone());
            if let Some(value) = &used {
                builder = builder.header(header::AUTHORIZATION, value);
            }
            let response = request(builder).await?.send().await.map_err(|error| lost(&error))?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && to.own && !renewed {
                renewed = true;
                let challenge = response.headers().get(header::WWW_AUTHENTICATE);
                let challenge = challenge.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
                if self.renew(&challenge, used.as_ref()).await? {
                    continue;
                }
            }
            return if status.as_u16() < 400 { Ok(response) } else { Err(refusal(response).await) };
        }
    }

    /// Gets what a challenge asks for; false where there is nothing to get.
    async fn renew(&self, challenge: &str, used: Option<&String>) -> Result<bool, Refusal> {
        let mut current = self.authorization.lock().await;
        if current.as_ref() != used {
            // Somebody else was faster.
            return Ok(true);
        }
        if starts_with_word(challenge, "basic") {
            use base64::Engine as _;
            let Some((name, password)) = &self.account else { return Ok(false) };
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
            let value = format!("Basic {pair}");
            let new = used != Some(&value);
            *current = Some(value);
            return Ok(new);
        }
        let realm = parameter(challenge, "realm").filter(|_| starts_with_word(challenge, "bearer"));
        let Some(mut url) = realm.and_then(|realm| Url::parse(&realm).ok()) else { return Ok(false) };
        if self.base.scheme() == "https" && url.scheme() != "https" {
            return Err(Refusal::Own("the registry wants the password sent without TLS to its token service".into()));
        }
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = parameter(challenge, "service") {
                query.append_pair("service", &service);
            }
            for scope in &self.scopes {
                query.append_pair("scope", scope);
            }
        }
        let mut request = self.http.get(url);
        if let Some((name, password)) = &self.account {
            request = request.basic_auth(name, Some(password));
        }
        let response = request.send().await.map_err(|error| lost(&error))?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let Some(token) = token_in(&body(response).await) else { return Ok(false) };
        *current = Some(format!("Bearer {token}"));
        Ok(true)
    }
}

pub(in crate::image) fn lost(error: &reqwest::Error) -> Refusal {
    // The error names its URL, which may hold the state of an upload.
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    Refusal::Lost(format!("no answer: {source}"))
}

/// An answer as Go's clients print it: `denied: words`.
async fn refusal(response: Response) -> Refusal {
    let status = response.status();
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = after.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    let body = body(response).await;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let code = answer["errors"][0]["code"].as_str().map(|code| code.to_lowercase().replace('_', " "));
    let words = match code {
        Some(code) => format!("{code}: {}", words_of(&body)),
        None if status.is_server_error() => format!("received unexpected HTTP status: {status}"),
        None => format!("error parsing HTTP {} response", status.as_u16()),
    };
    Refusal::Answered { status, words, retry_after }
}
