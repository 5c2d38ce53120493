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
use super::answers::{answered, body, claims, parameter, starts_with_word, words_of};
use super::credentials::Credentials;
use super::engine::tidy;
use super::registry::{TIMEOUT, USER_AGENT, install_tls, speaks_plain_http};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

/// A failure, and how long the registry wants to be left alone.
#[derive(Debug)]
pub(super) struct Diagnosis {
    pub(super) failure: Failure,
    pub(super) retry_after: Option<Duration>,
}

impl From<Failure> for Diagnosis {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None }
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
        // The account is good and was good: a login that expired in the middle, or a Harbor whose database was away.
        Ok(()) if is_unauthorized(said) => probe
            .failure(FailureCode::RegistryUnavailable, "refused in the middle of a push a login that it takes")
            .into(),
        Ok(()) if answered(said) => probe.failure(FailureCode::RegistryRefused, "refused the image").into(),
        Ok(()) => probe.failure(FailureCode::RegistryUnavailable, "broke off the push").into(),
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
    said: &'a str,
}

type Answer<T> = Result<T, Diagnosis>;

impl<'a> Probe<'a> {
    fn new(
        reference: &'a ImageReference,
        credentials: Option<&'a Credentials>,
        access: &RegistryAccess,
        said: &'a str,
    ) -> Result<Self, Failure> {
        install_tls();
        let invalid = |error: reqwest::Error| {
            Failure::new(FailureCode::ConfigurationInvalid, format!("The certificates cannot be used: {error}."))
                .hint("Correct `network.ca_bundle`.")
        };
        let mut builder = reqwest::Client::builder()
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(USER_AGENT)
            // A login must not follow anyone elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(bundle) = &access.ca_bundle {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(bundle).map_err(invalid)?);
        }
        let scheme = if speaks_plain_http(reference, access) { "http" } else { "https" };
        let credentials = match credentials {
            Some(Credentials::Password { username, password }) => Some((username.as_str(), password.expose())),
            Some(Credentials::IdentityToken(_)) | None => None,
        };
        let base = format!("{scheme}://{}", reference.registry());
        Ok(Self { http: builder.build().map_err(invalid)?, base, reference, credentials, said })
    }

    /// Login, then the right to push. `Ok` when both are there.
    async fn run(&self) -> Answer<()> {
        let first = self.send(self.request(Method::GET, "/v2/")).await?;
        let authorization = match first.status() {
            StatusCode::UNAUTHORIZED => {
                let challenge = first.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
                let challenge = challenge.unwrap_or_default().to_owned();
                Some(self.login(&challenge).await?)
            }
            status if status.is_success() => None,
            status => {
                let happened = format!("does not answer as a registry (status {status})");
                return Err(self.failure(FailureCode::RegistryRefused, &happened).into());
            }
        };
        self.upload(authorization).await
    }

    /// Gives the `Authorization` of a push, when the registry accepts the account.
    async fn login(&self, challenge: &str) -> Answer<String> {
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
            return Ok(format!("Basic {pair}"));
        };
        if self.base.starts_with("https:") && !realm.starts_with("https:") {
            return Err(self
                .failure(FailureCode::RegistryRefused, "wants the password sent without TLS to its token service")
                .into());
        }
        let scope = format!("repository:{}:pull,push", self.reference.repository());
        let service = parameter(challenge, "service").unwrap_or_default();
        let url = url::Url::parse_with_params(&realm, [("service", service.as_str()), ("scope", scope.as_str())])
            .map_err(|_| Diagnosis::from(self.failure(FailureCode::RegistryRefused, "names no valid token service")))?;
        let response = self.send(self.http.get(url).basic_auth(username, Some(password))).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(self.forbidden("").await),
            _ => return Err(self.login_refused().await),
        }
        let token = self.token(&body(response).await).await?;
        Ok(format!("Bearer {token}"))
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
        if let Some(claims) = claims(token).filter(|claims| claims["access"].is_array()) {
            if claims["sub"].as_str().unwrap_or_default().is_empty() {
                return Err(self.login_refused().await);
            }
            let pushes = |entry: &Value| {
                entry["actions"].as_array().is_some_and(|actions| actions.iter().any(|action| action == "push"))
            };
            if !claims["access"].as_array().is_some_and(|entries| entries.iter().any(pushes)) {
                return Err(self.forbidden("").await);
            }
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
                let _ = authorize(self.http.delete(url)).send().await;
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

    /// The account may not push; in Harbor that is also what a missing project looks like.
    async fn forbidden(&self, words: &str) -> Diagnosis {
        if self.harbor_healthy().await == Some(true) {
            let project = self.reference.repository().split('/').next().unwrap_or_default();
            let mut request = self.request(Method::HEAD, "/api/v2.0/projects").query(&[("project_name", project)]);
            if let Some((username, password)) = self.credentials {
                request = request.basic_auth(username, Some(password));
            }
            if request.send().await.is_ok_and(|response| response.status() == StatusCode::NOT_FOUND) {
                return self.repository_missing().into();
            }
        }
        let words = if words.is_empty() { String::new() } else { format!(": {}", tidy(words)) };
        let happened = format!("does not let the account push to `{}`{words}", self.reference.repository());
        self.failure(FailureCode::RegistryForbidden, &happened).into()
    }

    /// The login was refused; a Harbor whose database is down says the same.
    async fn login_refused(&self) -> Diagnosis {
        if self.harbor_healthy().await == Some(false) {
            return self.failure(FailureCode::RegistryUnavailable, "says that it is not healthy").into();
        }
        let name = self.credentials.map_or("", |(username, _)| username);
        self.failure(FailureCode::RegistryUnauthorized, &format!("refused the login of `{name}`")).into()
    }

    fn repository_missing(&self) -> Failure {
        let happened = format!("has no project for `{}`", self.reference.repository());
        self.failure(FailureCode::RegistryRepositoryMissing, &happened)
    }

    /// Harbor's own opinion of itself; `None` when this is no Harbor.
    async fn harbor_healthy(&self) -> Option<bool> {
        let response = self.request(Method::GET, "/api/v2.0/health").send().await.ok()?;
        let health: Value = serde_json::from_slice(&body(response).await).ok()?;
        health["status"].as_str().map(|status| status == "healthy")
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends, and tells outages and limits from answers.
    async fn send(&self, request: RequestBuilder) -> Answer<Response> {
        let response = request.send().await.map_err(|error| {
            let mut why = error.without_url().to_string();
            if why.is_empty() {
                why.push_str("no connection");
            }
            Diagnosis::from(self.failure(FailureCode::RegistryUnavailable, &format!("did not answer ({why})")))
        })?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let seconds = after.and_then(|value| value.trim().parse::<u64>().ok());
            let when = after.map_or_else(String::new, |after| format!(" (`Retry-After: {after}`)"));
            let failure = self.failure(FailureCode::RegistryRateLimited, &format!("asked for fewer requests{when}"));
            return Err(Diagnosis { failure, retry_after: seconds.map(Duration::from_secs) });
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
