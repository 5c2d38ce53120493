//! Why a push was refused: asked of the registry itself, step by step as a push would go.
//!
//! The Engine passes on only English text, without status or code. So the login, the right to
//! push and the repository are tried again here, where statuses and codes can be read
//! (OCI distribution specification, "Error Codes"; Docker registry token specification; Harbor).

use std::time::Duration;

use base64::Engine as _;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::Value;

use super::RegistryAccess;
use super::answers::{answered, body, parameter, starts_with_word, token_in, words_of};
use super::credentials::Credentials;
use super::engine::tidy;
use super::registry::secured;
use crate::harbor::{self, Rights, claims, refusal};
use crate::http;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

/// A failure, and how long the registry wants to be left alone.
#[derive(Debug)]
pub(super) struct Diagnosis {
    pub(super) failure: Failure,
    pub(super) retry_after: Option<Duration>,
    /// Whether trying once more may do; a second such answer is the registry's last word.
    pub(super) doubtful: bool,
}

/// Whether a registry answers and takes the account: false where it asks for none.
///
/// # Errors
/// `registry_unavailable` for one that does not answer or fails, `registry_unauthorized`, `registry_refused` for what is
/// no registry.
pub async fn log_in(
    reference: &ImageReference,
    credentials: Option<&Credentials>,
    access: &RegistryAccess,
) -> Result<bool, Failure> {
    let probe = Probe::new(reference, credentials, access, "")?;
    probe.log_in().await.map_err(|diagnosis| diagnosis.failure)
}

/// What a registry answers to an account.
enum Shown {
    /// The account itself, as the value of a header.
    Basic(String),
    /// What its token service said.
    Token(Vec<u8>),
}

impl From<Failure> for Diagnosis {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None, doubtful: false }
    }
}

/// Finds out why a push failed; `said` are the Engine's words.
pub(super) async fn diagnose(
    reference: &ImageReference,
    credentials: Option<&Credentials>,
    access: &RegistryAccess,
    said: &str,
) -> Diagnosis {
    let probe = match Probe::new(reference, credentials, access, said) {
        Ok(probe) => probe,
        Err(failure) => return failure.into(),
    };
    match probe.run().await {
        Err(diagnosis) => diagnosis,
        Ok(()) if refusal(said).is_some() => {
            let code = refusal(said).unwrap_or(FailureCode::RegistryRefused);
            probe.failure(code, "refused the image").into()
        }
        // The account is good and was good: a login that expired in the middle, or a Harbor whose database was away.
        Ok(()) if is_unauthorized(said) => probe
            .failure(FailureCode::RegistryUnavailable, "refused in the middle of a push a login that it takes")
            .into(),
        Ok(()) if ["HTTP 429", "Too Many Requests", "toomanyrequests"].iter().any(|words| said.contains(words)) => {
            probe.failure(FailureCode::RegistryRateLimited, "asked for fewer requests").into()
        }
        Ok(()) if answered(said) => {
            let failure = probe.failure(FailureCode::RegistryRefused, "refused the image");
            // Harbor is permanently broken by some images, and for a moment by any; an upload that it forgot begins anew, and
            // a blob that it lacks, or that others are just storing, is there when it is asked for again.
            let doubtful =
                ["internal server error", "blob upload unknown", "blob upload invalid", "manifest blob unknown"];
            Diagnosis { doubtful: doubtful.iter().any(|words| said.contains(words)), ..failure.into() }
        }
        Ok(()) => probe.broken_off().await.into(),
    }
}

/// What the Engine says of a registry's 401.
fn is_unauthorized(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["unauthorized", "authentication required", "no basic auth credentials", "401"]
        .iter()
        .any(|word| said.contains(word))
}

struct Probe<'a> {
    http: reqwest::Client,
    base: String,
    reference: &'a ImageReference,
    credentials: Option<(&'a str, &'a str)>,
    /// Whether the account is a token that only the Engine can show.
    engine_s_own: bool,
    said: &'a str,
    harbor: harbor::Client,
    request_id: Option<String>,
}

type Answer<T> = Result<T, Diagnosis>;

impl<'a> Probe<'a> {
    fn new(
        reference: &'a ImageReference,
        known: Option<&'a Credentials>,
        access: &RegistryAccess,
        said: &'a str,
    ) -> Result<Self, Failure> {
        let credentials = match known {
            Some(Credentials::Password { username, password }) => Some((username.as_str(), password.expose())),
            Some(Credentials::IdentityToken(_)) | None => None,
        };
        let engine_s_own = matches!(known, Some(Credentials::IdentityToken(_)));
        let harbor = access.harbor(reference, known)?;
        let http = access.http(reference)?;
        let (base, request_id) = (access.base(reference), access.request_id.clone());
        Ok(Self { http, base, reference, credentials, engine_s_own, said, harbor, request_id })
    }

    /// Login, then the right to push. `Ok` when both are there.
    async fn run(&self) -> Answer<()> {
        let authorization = match self.challenge().await? {
            Some(challenge) => Some(self.login(&challenge).await?),
            None => None,
        };
        self.upload(authorization).await
    }

    /// The login alone, for whoever has no image to push. False where none is asked for, or where only the Engine can
    /// show the account.
    async fn log_in(&self) -> Answer<bool> {
        let Some(challenge) = self.challenge().await?.filter(|_| !self.engine_s_own) else { return Ok(false) };
        if let Shown::Token(body) = self.show(&challenge, None).await? {
            let rights = token_in(&body).and_then(|token| Rights::of(&claims(&token)?));
            if rights == Some(Rights::Stranger) {
                return Err(self.login_refused().await);
            }
        }
        Ok(true)
    }

    /// What the registry asks of those who show nothing, if it asks for anything.
    async fn challenge(&self) -> Answer<Option<String>> {
        let first = self.send(self.request(Method::GET, "/v2/")).await?;
        match first.status() {
            StatusCode::UNAUTHORIZED => {
                let challenge = first.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
                Ok(Some(challenge.unwrap_or_default().to_owned()))
            }
            status if status.is_success() => Ok(None),
            status => {
                let happened = format!("does not answer as a registry (status {status})");
                Err(self.failure(FailureCode::RegistryRefused, &happened).into())
            }
        }
    }

    /// Gives the `Authorization` of a push, when the registry accepts the account.
    async fn login(&self, challenge: &str) -> Answer<String> {
        let scope = format!("repository:{}:pull,push", self.reference.repository());
        match self.show(challenge, Some(&scope)).await? {
            Shown::Basic(value) => Ok(value),
            Shown::Token(body) => Ok(format!("Bearer {}", self.token(&body).await?)),
        }
    }

    /// Shows the account to whom the challenge names.
    async fn show(&self, challenge: &str, scope: Option<&str>) -> Answer<Shown> {
        let Some((username, password)) = self.credentials else {
            return Err(self
                .failure(FailureCode::RegistryUnauthorized, "asks for a login, and there are no credentials")
                .hint("Name credentials for the registry: `registry.credentials`.")
                .into());
        };
        let Some(realm) = parameter(challenge, "realm").filter(|_| starts_with_word(challenge, "bearer")) else {
            let response = self.send(self.request(Method::GET, "/v2/").basic_auth(username, Some(password))).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(self.login_refused().await);
            }
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
            return Ok(Shown::Basic(format!("Basic {pair}")));
        };
        let invalid = || Diagnosis::from(self.failure(FailureCode::RegistryRefused, "names no valid token service"));
        let base = url::Url::parse(&self.base).map_err(|_| invalid())?;
        let mut url = secured(url::Url::parse(&realm).map_err(|_| invalid())?, &base);
        if base.scheme() == "https" && url.scheme() != "https" {
            return Err(self
                .failure(FailureCode::RegistryRefused, "wants the password sent without TLS to its token service")
                .into());
        }
        let service = parameter(challenge, "service").unwrap_or_default();
        url.query_pairs_mut().append_pair("service", &service);
        if let Some(scope) = scope {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        let response = self.send(self.http.get(url).basic_auth(username, Some(password))).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(self.forbidden("").await),
            _ => return Err(self.login_refused().await),
        }
        Ok(Shown::Token(body(response).await))
    }

    /// Reads a token answer. Harbor grants a token to anybody: without `sub` to a stranger,
    /// without `push` to an account that may not.
    async fn token(&self, body: &[u8]) -> Answer<String> {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let token = ["access_token", "token"]
            .iter()
            .filter_map(|key| answer[key].as_str())
            .find(|token| !token.is_empty())
            .unwrap_or_default();
        match claims(token).as_ref().and_then(Rights::of) {
            Some(Rights::Stranger) => return Err(self.login_refused().await),
            Some(rights) if !rights.include("push") => return Err(self.forbidden("").await),
            _ => {}
        }
        Ok(token.to_owned())
    }

    /// Begins an upload, as a push does, and gives it up.
    async fn upload(&self, authorization: Option<String>) -> Answer<()> {
        let authorize = |request: RequestBuilder| match &authorization {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        };
        let path = format!("/v2/{}/blobs/uploads/", self.reference.repository());
        let response = self.send(authorize(self.request(Method::POST, &path))).await?;
        let status = response.status();
        if status == StatusCode::ACCEPTED {
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let base = url::Url::parse(&self.base).ok();
            if let Some(url) = base.zip(location).and_then(|(base, location)| base.join(location).ok())
                && url.as_str().starts_with(&self.base)
            {
                // The registry forgets abandoned uploads by itself; this is only polite.
                let _ = self.named(authorize(self.http.delete(url))).send().await;
            }
            return Ok(());
        }
        let words = words_of(&body(response).await);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.forbidden(&words).await),
            StatusCode::NOT_FOUND => Err(self.repository_missing().into()),
            _ => Err(self
                .failure(FailureCode::RegistryRefused, &format!("refuses uploads (status {status}): {words}"))
                .into()),
        }
    }

    /// The account may not push; in Harbor that is also what a missing project, a full one, one that mirrors another
    /// registry, and read-only mode look like.
    async fn forbidden(&self, words: &str) -> Diagnosis {
        let code = match refusal(words) {
            Some(code) => code,
            None => match self.harbor.down().await {
                Some(true) => return self.unhealthy(),
                Some(false) if self.harbor.has_project(self.project()).await.is_ok_and(|there| !there) => {
                    FailureCode::RegistryRepositoryMissing
                }
                _ => FailureCode::RegistryForbidden,
            },
        };
        if code == FailureCode::RegistryRepositoryMissing {
            return self.repository_missing().into();
        }
        let words = if words.is_empty() { String::new() } else { format!(": {}", tidy(words)) };
        let happened = format!("does not let the account push to `{}`{words}", self.reference.repository());
        self.failure(code, &happened).into()
    }

    /// The login was refused; a Harbor whose database is down says the same.
    async fn login_refused(&self) -> Diagnosis {
        if self.harbor.is_down().await {
            return self.unhealthy();
        }
        let name = self.credentials.map_or("", |(username, _)| username);
        self.failure(FailureCode::RegistryUnauthorized, &format!("refused the login of `{name}`")).into()
    }

    fn unhealthy(&self) -> Diagnosis {
        self.failure(FailureCode::RegistryUnavailable, "says that it is not healthy").into()
    }

    /// The connection ended without an answer. In front of Harbor, that is also how a proxy words a refusal in the
    /// middle of a large body: of a full project it can be told, where the account may read the quota.
    async fn broken_off(&self) -> Failure {
        if self.harbor.quota(self.project()).await.is_ok_and(|quota| quota.and_then(harbor::Quota::left) == Some(0)) {
            let happened = format!("broke off the push, and the project `{}` is full", self.project());
            return self.failure(FailureCode::RegistryQuotaExceeded, &happened);
        }
        self.failure(FailureCode::RegistryUnavailable, "broke off the push")
    }

    fn project(&self) -> &str {
        self.reference.repository().split('/').next().unwrap_or_default()
    }

    fn repository_missing(&self) -> Failure {
        let happened = format!("has no project for `{}`", self.reference.repository());
        self.failure(FailureCode::RegistryRepositoryMissing, &happened)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// With the id that the registry writes to its own log.
    fn named(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.request_id {
            Some(id) => request.header("x-request-id", id),
            None => request,
        }
    }

    /// Sends, and tells outages and limits from answers.
    async fn send(&self, request: RequestBuilder) -> Answer<Response> {
        let response = self.named(request).send().await.map_err(|error| {
            let why = http::reason(error);
            Diagnosis::from(self.failure(FailureCode::RegistryUnavailable, &format!("did not answer ({why})")))
        })?;
        let status = response.status();
        let (registry, request_id) = (self.reference.registry(), self.request_id.as_deref());
        tracing::debug!(registry, request_id, path = response.url().path(), %status, "asked why a push failed");
        if status == StatusCode::TOO_MANY_REQUESTS {
            let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let when = after.map_or_else(String::new, |after| format!(" (`Retry-After: {after}`)"));
            let failure = self.failure(FailureCode::RegistryRateLimited, &format!("asked for fewer requests{when}"));
            return Err(Diagnosis { retry_after: http::retry_after(&response), ..failure.into() });
        }
        if status.is_server_error() {
            let happened = format!("is failing (status {status})");
            return Err(self.failure(FailureCode::RegistryUnavailable, &happened).into());
        }
        Ok(response)
    }

    fn failure(&self, code: FailureCode, happened: &str) -> Failure {
        let said = tidy(self.said);
        let said = if said.is_empty() { String::new() } else { format!(" The push ended with: {said}.") };
        Failure::new(code, format!("The registry `{}` {happened}.{said}", self.reference.registry()))
    }
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;
