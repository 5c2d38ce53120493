//! Requests to one repository of a registry: authorised, the token renewed whenever the registry wants it.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use oci_client::secrets::RegistryAuth;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use url::Url;

use super::connections::Connections;
use super::location::{self, Location};
use super::login::{Granted, Login, TokenService};
use super::meter::Meter;
use super::outside::Outside;
use super::ready::{Patience, Ready};
use super::refusal::{Refusal, refusal};
use super::{Descriptor, speaks_plain_http};
use crate::http;
use crate::image::answers::{body, starts_with_word};
use crate::image::credentials::Credentials;
use crate::image::{LogSink, RegistryAccess};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

/// One repository, and the account for it.
pub(in crate::image) struct Session {
    http: reqwest::Client,
    /// For other hosts that it sends to; they are shown no client certificate. Few registries send anybody anywhere.
    elsewhere: OnceLock<reqwest::Client>,
    ca_bundle: Option<Vec<u8>>,
    pub(super) base: Url,
    pub(super) repository: String,
    /// The repository with its registry.
    pub(super) name: String,
    account: Option<(String, String)>,
    /// Whether it is of no use to somebody whom the registry does not know.
    pushes: bool,
    request_id: Option<String>,
    login: Mutex<Login>,
    /// The registry's own, for its token service too.
    connections: Connections,
    /// Hosts that it may send to wherever they are.
    known: BTreeSet<String>,
    pub(super) patience: Patience,
    pub(super) meter: Meter,
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
        let scopes = [own].into_iter().chain(sources.iter().map(|source| to_read(source))).collect();
        let session = Self::with_scopes(reference, credentials, access, scopes)?;
        Ok(Self { pushes: true, ..session })
    }

    /// For a pull.
    pub(in crate::image) fn reading(
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
    ) -> Result<Self, Failure> {
        Self::with_scopes(reference, credentials, access, vec![to_read(reference.repository())])
    }

    fn with_scopes(
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
        scopes: Vec<String>,
    ) -> Result<Self, Failure> {
        let invalid = |why: &dyn std::fmt::Display| {
            let message = format!("The client of the registry `{}` cannot be made: {why}.", reference.registry());
            Failure::new(FailureCode::ConfigurationInvalid, message)
        };
        // The proxies are the environment's, as for everything else. Cookies stay off: Harbor takes one for a browser.
        let builder = http::builder(access.ca_bundle.as_deref(), access.shown_to(reference))?;
        let http = builder.build().map_err(|error| http::unusable(&error))?;
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
            http,
            elsewhere: OnceLock::new(),
            ca_bundle: access.ca_bundle.clone(),
            connections: Connections::of(&base, access.reach.connections),
            known: access.reach.hosts.clone(),
            patience: Patience::USUAL,
            meter: Meter::default(),
            base,
            repository: reference.repository().to_owned(),
            name: reference.name(),
            account,
            pushes: false,
            request_id: access.request_id.clone(),
            login: Mutex::new(Login::for_scopes(scopes)),
        })
    }

    /// Blobs may be mounted from these repositories too.
    pub(in crate::image) async fn reads(&self, sources: &[String]) {
        self.login.lock().await.extend(sources.iter().map(|source| to_read(source)));
    }

    /// A place of this repository: `blobs/sha256:…`.
    pub(super) fn place(&self, rest: &str) -> Result<Location, Refusal> {
        let path = format!("{}/{rest}", self.repository);
        let url = self.base.join(&path).map_err(|error| Refusal::Own(format!("`{path}`: {error}")))?;
        Ok(Location { url, own: true })
    }

    /// What other hosts are asked with: no name leads it inside.
    fn elsewhere(&self) -> Result<&reqwest::Client, Refusal> {
        if let Some(known) = self.elsewhere.get() {
            return Ok(known);
        }
        let unusable = |failure: Failure| Refusal::Own(failure.message);
        let builder = http::builder(self.ca_bundle.as_deref(), None).map_err(unusable)?;
        let made = builder.dns_resolver(Arc::new(Outside::new(&self.base, &self.known))).build();
        let made = made.map_err(|error| unusable(http::unusable(&error)))?;
        Ok(self.elsewhere.get_or_init(|| made))
    }

    /// The place that an answer names.
    pub(super) fn named(&self, answer: &Response, asked: &Location) -> Result<Location, Refusal> {
        location::of(answer, &asked.url, &self.known)
    }

    /// Does work, and tells meanwhile how far the uploads of this session are.
    pub(in crate::image) async fn told<T>(&self, log: LogSink<'_>, work: impl Future<Output = T>) -> T {
        self.meter.told(log, work).await
    }

    /// Sends a request that is to be answered here.
    ///
    /// # Errors
    /// [`Refusal::Lost`] without an answer, [`Refusal::Answered`] for any status of 300 and above.
    pub(super) async fn send<R, F>(
        &self,
        method: Method,
        to: &Location,
        request: impl Fn(RequestBuilder) -> F + Send + Sync,
    ) -> Result<Response, Refusal>
    where
        R: Into<Ready> + Send,
        F: Future<Output = Result<R, Refusal>> + Send,
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
    pub(super) async fn exchange<R, F>(
        &self,
        method: Method,
        to: &Location,
        request: impl Fn(RequestBuilder) -> F + Send + Sync,
    ) -> Result<Response, Refusal>
    where
        R: Into<Ready> + Send,
        F: Future<Output = Result<R, Refusal>> + Send,
    {
        self.held(method, to, request).await.map(|(answer, _)| answer)
    }

    /// The same, with what counts the request among those that the registry has at a time: whoever keeps that until the
    /// end of the answer's body waits for nobody else meanwhile.
    pub(super) async fn held<R, F>(
        &self,
        method: Method,
        to: &Location,
        request: impl Fn(RequestBuilder) -> F + Send + Sync,
    ) -> Result<(Response, Option<OwnedSemaphorePermit>), Refusal>
    where
        R: Into<Ready> + Send,
        F: Future<Output = Result<R, Refusal>> + Send,
    {
        let mut renewed = false;
        loop {
            let used = if to.own { self.authorization().await? } else { None };
            let client = if to.own { &self.http } else { self.elsewhere()? };
            let mut builder = client.request(method.clone(), to.url.clone());
            if let Some(value) = &used {
                builder = builder.header(header::AUTHORIZATION, value);
            }
            if let Some(id) = self.request_id.as_ref().filter(|_| to.own) {
                builder = builder.header("x-request-id", id);
            }
            let ready: Ready = request(builder).await?.into();
            // What its body comes from is open by now, so that nobody who holds one waits for another.
            let connection = if to.own { self.connections.one().await } else { None };
            let response = ready.send(self.patience).await?;
            let status = response.status();
            let (registry, request_id) = (to.url.host_str(), self.request_id.as_deref());
            // No query: it may hold the state of an upload.
            tracing::debug!(registry, request_id, %method, path = to.url.path(), %status, "a registry answered");
            if status == StatusCode::UNAUTHORIZED && to.own && !renewed {
                renewed = true;
                drop(connection);
                let challenge = response.headers().get(header::WWW_AUTHENTICATE);
                let challenge = challenge.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
                if self.renew(&challenge, used.as_ref()).await? {
                    continue;
                }
                return Err(refusal(response).await);
            }
            return if status.as_u16() < 400 { Ok((response, connection)) } else { Err(refusal(response).await) };
        }
    }

    /// What a request is authorised by. A token that is over is renewed first: to refuse one in the middle of a large
    /// body, Harbor breaks the connection.
    async fn authorization(&self) -> Result<Option<String>, Refusal> {
        let mut login = self.login.lock().await;
        if let Some(service) = login.service.clone().filter(|_| login.is_over()) {
            self.granted(&mut login, &service).await?;
        }
        Ok(login.value.clone())
    }

    /// The login as `oci-client` takes it.
    pub(super) async fn shown_login(&self) -> RegistryAuth {
        let login = self.login.lock().await;
        match (login.value.as_deref().and_then(|value| value.strip_prefix("Bearer ")), &self.account) {
            (Some(token), _) => RegistryAuth::Bearer(token.to_owned()),
            (None, Some((name, password))) => RegistryAuth::Basic(name.clone(), password.clone()),
            (None, None) => RegistryAuth::Anonymous,
        }
    }

    /// What requests are authorised by at this moment.
    pub(super) async fn shown(&self) -> Option<String> {
        self.login.lock().await.value.clone()
    }

    /// Whether what was shown is over by the registry's word, and there is something else now.
    pub(super) async fn had_expired(&self, shown: Option<&String>, blob: &Descriptor) -> bool {
        self.has(blob).await.is_ok() && self.shown().await.as_ref() != shown
    }

    /// Gets what a challenge asks for; false where there is nothing to get. An empty challenge is Harbor's way to say that
    /// no login would help.
    async fn renew(&self, challenge: &str, used: Option<&String>) -> Result<bool, Refusal> {
        let mut login = self.login.lock().await;
        if login.value.as_ref() != used {
            // Somebody else was faster.
            return Ok(true);
        }
        if let Some(service) = TokenService::of(challenge) {
            login.service = Some(service);
        } else if !starts_with_word(challenge, "basic") {
            return Ok(false);
        }
        // Harbor asks whoever showed a token for a password; a new token does as well, and costs it less.
        if let Some(service) = login.service.clone() {
            return self.granted(&mut login, &service).await;
        }
        let Some((name, password)) = &self.account else { return Ok(false) };
        Ok(login.basic(name, password))
    }

    /// Gets a token; false where the service has none to give.
    async fn granted(&self, login: &mut Login, service: &TokenService) -> Result<bool, Refusal> {
        let mut url = location::secured(service.realm.clone(), &self.base);
        if self.base.scheme() == "https" && url.scheme() != "https" {
            return Err(Refusal::Own("the registry wants the password sent without TLS to its token service".into()));
        }
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &service.name {
                query.append_pair("service", service);
            }
            for scope in &login.scopes {
                query.append_pair("scope", scope);
            }
        }
        let own = url.origin() == self.base.origin();
        let mut request = if own { &self.http } else { self.elsewhere()? }.get(url);
        if let Some((name, password)) = &self.account {
            request = request.basic_auth(name, Some(password));
        }
        if let Some(id) = &self.request_id {
            request = request.header("x-request-id", id);
        }
        let asked = Instant::now();
        let connection = if own { self.connections.one().await } else { None };
        let response = Ready::from(request).send(self.patience).await?;
        drop(connection);
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let Some(token) = Granted::of(&body(response).await) else { return Ok(false) };
        if self.pushes && self.account.is_some() && token.is_a_strangers() {
            // Each further try would cost 1.5 s, during which Harbor lets nobody of that name in.
            let words = "unauthorized: the token service does not know the account".to_owned();
            return Err(Refusal::Answered { status: StatusCode::UNAUTHORIZED, words, retry_after: None });
        }
        login.token(&token, asked);
        Ok(true)
    }
}

/// The scope of whoever reads a repository (distribution specification, "Token Scope").
fn to_read(repository: &str) -> String {
    format!("repository:{repository}:pull")
}
