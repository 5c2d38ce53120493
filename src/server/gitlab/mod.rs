//! GitLab: its webhooks come in, statuses and comments go out.

mod client;
pub(super) mod comment;
mod decide;
pub(super) mod hook;
mod payload;
pub(super) mod project;
pub(super) mod reconcile;
mod secrets;
mod shown;
pub(super) mod status;

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::api::newer_like;
use super::store::outbox::{Kind, Untold};
use super::store::{milliseconds, now};
use crate::config::Config;
use crate::model::failure::{Failure, FailureCode};
use client::{Client, Refusal};

/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// After so many tries nobody looks at the status any more: about two days.
const TRIES: i64 = 40;

/// How long the last statuses may take when the server goes.
const LAST: Duration = Duration::from_secs(3);

/// What is known of GitLab.
pub(super) struct GitLab {
    /// Absent where no GitLab is configured.
    client: Option<Client>,
    secrets: secrets::Secrets,
}

impl GitLab {
    /// By configuration; nothing is asked yet.
    pub(super) fn new(config: &Config) -> Result<Self, Failure> {
        Ok(Self { client: Client::new(config)?, secrets: secrets::Secrets::default() })
    }
}

impl GitLab {
    /// What GitLab says of itself to the token of its credentials.
    ///
    /// # Errors
    /// `configuration_invalid` with what it says instead.
    pub(super) async fn version(&self, config: &Config) -> Result<String, Failure> {
        let Some(client) = &self.client else { return Ok(String::new()) };
        match client.call(config, reqwest::Method::GET, "/version", None).await {
            Ok(value) => Ok(value["version"].as_str().unwrap_or("which does not say its version").to_owned()),
            Err(Refusal::Final(why) | Refusal::Later(why)) => {
                Err(Failure::new(FailureCode::ConfigurationInvalid, format!("GitLab's API refuses: {why}")).hint(
                    "check `server.gitlab.url`, and that its credentials hold an access token with the scope `api`",
                ))
            }
        }
    }
}

/// Tells GitLab what there is to tell, for ever.
pub(super) async fn tell(shared: Arc<Shared>) {
    let mut news = shared.news.subscribe();
    loop {
        news.mark_unchanged();
        told(&shared).await;
        tokio::select! {
            _ = news.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// What is left to tell when the server goes; what GitLab does not take now it hears from the next one.
pub(super) async fn last_words(shared: &Shared) {
    let _ = tokio::time::timeout(LAST, told(shared)).await;
}

async fn told(shared: &Shared) {
    let Some(client) = &shared.gitlab.client else { return };
    for kind in [Kind::Status, Kind::Note] {
        let untold = match shared.store.untold(kind).await {
            Ok(untold) => untold,
            Err(failure) => {
                tracing::warn!(error = %failure, "GitLab is told nothing");
                continue;
            }
        };
        for word in untold {
            let answer = match kind {
                Kind::Status if is_overtaken(shared, &word).await => Ok(0),
                Kind::Status => status::send(client, &shared.config, &word.body).await.map(|()| 0),
                Kind::Note => comment::send(client, &shared.config, &word).await,
            };
            if let Err(failure) = settle(shared, kind, &word, answer).await {
                tracing::warn!(error = %failure, "what GitLab was told is told again");
            }
        }
    }
}

/// Whether the same commit was asked for again: its status is the newer build's then, however late this one is heard.
async fn is_overtaken(shared: &Shared, word: &Untold) -> bool {
    let newer = async {
        let Some(build) = shared.store.build(&word.key).await? else { return Ok(false) };
        let newer = newer_like(shared, &build).await?;
        Ok::<_, Failure>(newer.is_some_and(|newer| newer.commit == build.commit && newer.place() == build.place()))
    };
    newer.await.unwrap_or(false)
}

async fn settle(shared: &Shared, kind: Kind, word: &Untold, answer: Result<i64, Refusal>) -> Result<(), Failure> {
    match answer {
        Ok(note) => shared.store.told(kind, word, note).await,
        Err(Refusal::Final(why)) => {
            tracing::warn!(key = word.key, why, "GitLab does not take it");
            shared.store.told(kind, word, word.note).await
        }
        Err(Refusal::Later(why)) if word.tries >= TRIES => {
            tracing::error!(key = word.key, why, "GitLab did not take it for two days");
            shared.store.told(kind, word, word.note).await
        }
        Err(Refusal::Later(why)) => {
            let pause = Duration::from_secs(1 << word.tries.clamp(0, 12)).min(Duration::from_hours(1));
            tracing::info!(key = word.key, why, pause_ms = pause.as_millis(), "GitLab is told later");
            shared.store.unheard(kind, word, now() + milliseconds(pause)).await
        }
    }
}
