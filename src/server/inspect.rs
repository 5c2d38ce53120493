//! What `slipway doctor` asks on behalf of a server: the database, GitLab's API, the secrets of webhooks.

use super::gitlab::GitLab;
use super::store::Store;
use crate::config::Config;
use crate::model::failure::Failure;

/// What was looked at, and what was found; nothing where no server is configured.
pub async fn inspect(config: &Config) -> Vec<(String, Result<String, Failure>)> {
    let mut found = Vec::new();
    if let Some(url) = &config.database.url {
        let answers = Store::reach(config, url).await.map(|()| url.clone());
        found.push(("server's database".to_owned(), answers));
    }
    if let Some(url) = &config.server.gitlab.url {
        let answers = match GitLab::new(config) {
            Ok(gitlab) => gitlab.version(config).await.map(|version| format!("{url}, {version}")),
            Err(failure) => Err(failure),
        };
        found.push(("GitLab's API".to_owned(), answers));
    }
    for name in &config.server.gitlab.webhook_secrets {
        let there = crate::secrets::proof(config, name, "*").await.map(|_| "is there".to_owned());
        found.push((format!("webhook secret `{name}`"), there));
    }
    found
}
