//! The one door to a Harbor: requests with the account, answers with their code.

use std::fmt::Write as _;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::http;
use crate::model::failure::{Failure, FailureCode};
use crate::secrets::Account;

/// The most of an answer that is read.
const BODY_LIMIT: usize = 8 << 20;

/// Entries of a page of a list; Harbor gives no more than 100.
const PAGE: u64 = 100;

/// A Harbor and an account.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    account: Option<Account>,
    request_id: Option<String>,
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body, `null` where it is no JSON.
    pub body: Value,
    /// Where what was made is.
    pub location: Option<String>,
    /// How many there are, of a list.
    pub total: Option<u64>,
}

impl Reply {
    /// The code of an error answer: `DENIED`, `CONFLICT` …
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["errors"][0]["code"].as_str().unwrap_or_default()
    }

    /// The messages of an error answer.
    #[must_use]
    pub fn message(&self) -> String {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["message"].as_str()).collect::<Vec<_>>().join("; ")
    }

    /// Whether it did what was asked.
    #[must_use]
    pub fn good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Client {
    /// The Harbor at `base` (`https://harbor.example.com`), asked by this client and as this account.
    #[must_use]
    pub fn new(http: reqwest::Client, base: &str, account: Option<Account>) -> Self {
        Self { http, base: base.to_owned(), account, request_id: None }
    }

    /// With the id that Harbor writes to its own logs (`X-Request-Id`): the build's.
    #[must_use]
    pub fn for_request(mut self, id: &str) -> Self {
        self.request_id = Some(id.to_owned()).filter(|id| !id.is_empty());
        self
    }

    /// `https://harbor.example.com`
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `harbor.example.com`
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, host)| host)
    }

    /// The account's name.
    #[must_use]
    pub fn account(&self) -> &str {
        self.account.as_ref().map_or("", |account| account.username.as_str())
    }

    /// Whether there is an account.
    pub(super) fn has_account(&self) -> bool {
        self.account.is_some()
    }

    /// Asks and reads; `path` begins with `/`, its parts encoded.
    ///
    /// # Errors
    /// `registry_unavailable` where there is no answer, or one of the 5xx.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, Failure> {
        let mut request = self.authorized(self.request(method, path));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.reply(request).await
    }

    /// [`Client::send`] with `GET`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// All entries of a list, page by page; `path` ends with its query. What is no list is given as it came.
    pub(super) async fn pages(&self, path: &str) -> Result<Result<Vec<Value>, Reply>, Failure> {
        let mut all = Vec::new();
        for page in 1.. {
            let reply = self.get(&format!("{path}&page={page}&page_size={PAGE}")).await?;
            let (true, Value::Array(some)) = (reply.good(), &reply.body) else { return Ok(Err(reply)) };
            let end = some.is_empty() || reply.total.is_none_or(|total| page * PAGE >= total);
            all.extend(some.iter().cloned());
            if end {
                break;
            }
        }
        Ok(Ok(all))
    }

    /// Whether Harbor says of itself that it can know an account; `None` where it says nothing, as a registry that is no
    /// Harbor.
    async fn healthy(&self) -> Option<bool> {
        // Its status is 200 whatever is down.
        let reply = self.reply(self.request(Method::GET, "/api/v2.0/health")).await.ok()?;
        let (whole, parts) = (reply.body["status"].as_str()?, reply.body["components"].as_array());
        Some(whole == "healthy" || parts.is_some_and(|parts| !parts.iter().any(refuses_everyone)))
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.request_id {
            Some(id) => request.header("x-request-id", id),
            None => request,
        }
    }

    pub(super) fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.account {
            Some(account) => request.basic_auth(&account.username, Some(&account.password)),
            None => request,
        }
    }

    pub(super) async fn reply(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let unanswered = |error| {
            self.failure(FailureCode::RegistryUnavailable, &format!("did not answer ({})", http::reason(error)))
        };
        let mut response = request.send().await.map_err(unanswered)?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (location, total) = (header("location"), header("x-total-count").and_then(|total| total.parse().ok()));
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unanswered)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > BODY_LIMIT {
                return Err(self.failure(FailureCode::RegistryRefused, "answered more than can be read"));
            }
        }
        let reply = Reply { status, body: serde_json::from_slice(&bytes).unwrap_or_default(), location, total };
        if status >= 500 {
            let words = reply.message();
            let words = if words.is_empty() { String::new() } else { format!(": {words}") };
            return Err(self.failure(FailureCode::RegistryUnavailable, &format!("is failing (status {status}{words})")));
        }
        if status == 429 {
            return Err(self.failure(FailureCode::RegistryRateLimited, "asked for fewer requests"));
        }
        Ok(reply)
    }

    /// A failure whose sentence begins with the registry.
    #[must_use]
    pub fn failure(&self, code: FailureCode, happened: &str) -> Failure {
        Failure::new(code, format!("The registry `{}` {happened}.", self.host()))
    }

    /// What an answer that was not expected means.
    pub(super) async fn unexpected(&self, doing: &str, reply: &Reply) -> Failure {
        let words = reply.message();
        match reply.status {
            401 => self.login_refused().await,
            403 => {
                let happened = format!("does not let the account `{}` {doing}: {words}", self.account());
                self.failure(super::refusal(&words).unwrap_or(FailureCode::RegistryForbidden), &happened)
            }
            status => {
                let code = super::refusal(&words).unwrap_or(FailureCode::RegistryRefused);
                self.failure(code, &format!("refused to {doing} (status {status}): {words}"))
            }
        }
    }

    /// Whether it is an outage that looks like a refused login: the database is away, and nobody is known.
    pub async fn is_down(&self) -> bool {
        self.down().await == Some(true)
    }

    /// As [`Client::is_down`]; `None` where this is no Harbor.
    pub async fn down(&self) -> Option<bool> {
        if !self.healthy().await? {
            return Some(true);
        }
        // What it says of itself is up to 10 s old; this is said at once.
        Some(match self.get("/v2/library/slipway/manifests/latest").await {
            Ok(reply) => super::refusal(&reply.message()) == Some(FailureCode::RegistryUnavailable),
            Err(_) => true,
        })
    }

    pub(super) async fn login_refused(&self) -> Failure {
        if self.is_down().await {
            return self.failure(FailureCode::RegistryUnavailable, "says that it is not healthy");
        }
        self.failure(FailureCode::RegistryUnauthorized, &format!("refused the login of `{}`", self.account()))
    }
}

/// Whether it is a part of Harbor that is away, and without which nobody is known. Without its portal, a scanner or what
/// works off jobs, of which each alone makes all of it unhealthy, accounts are what they were.
fn refuses_everyone(component: &Value) -> bool {
    component["status"] != "healthy" && matches!(component["name"].as_str(), Some("core" | "database"))
}

/// A part of a path, encoded; a repository's name, whose slashes Harbor wants encoded twice, goes through this twice.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
