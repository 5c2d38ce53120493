//! The sections of whoever runs `slipway server`: `[server]`, `[server.gitlab]` and `[database]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Network, duration};

/// `[server]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port; only this machine is answered unless another address stands here.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Where people reach it: `https://slipway.example.com`. Links in commit statuses begin with it, and cookies are sent by TLS alone where it begins with `https`.
    pub url: Option<String>,
    /// Where history and logs are; `server` in `$XDG_STATE_HOME/slipway` if absent.
    pub directory: Option<PathBuf>,
    /// How long a page's login lasts: `12h`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub session: Duration,
    /// How many requests one address may make in a second, over a while; bursts may be ten times as large. Webhooks that show who sends them are not counted.
    pub requests_per_second: u32,
    /// Proxies that are believed whom they speak for (`X-Forwarded-For`), by address or network: `10.0.0.0/8`. One on this machine always is.
    pub trusted_proxies: Vec<Network>,
    /// How many connections may be open at a time.
    pub connections: usize,
    /// What is known of GitLab.
    pub gitlab: GitLab,
    /// What is known of Harbor's notifications.
    pub harbor: HarborHooks,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8460).into(),
            url: None,
            directory: None,
            session: Duration::from_hours(12),
            requests_per_second: 50,
            trusted_proxies: Vec::new(),
            connections: 4096,
            gitlab: GitLab::default(),
            harbor: HarborHooks::default(),
        }
    }
}

/// `[server.harbor]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HarborHooks {
    /// The names of the credentials that hold what Harbor's webhook policies have as `Auth Header`; several, so that one can be replaced by the next. Without one, no notification is taken.
    pub webhook_secrets: Vec<String>,
}

/// `[server.gitlab]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GitLab {
    /// GitLab itself: `https://gitlab.example.com`. Without it, commits get no status.
    pub url: Option<String>,
    /// The name of the credentials for its API: an access token with the scope `api`, as password.
    pub credentials: Option<String>,
    /// The names of the credentials that hold webhooks' secret tokens or signing tokens; several, so that one can be replaced by the next.
    pub webhook_secrets: Vec<String>,
    /// What commit statuses begin with; the application follows.
    pub status_name: String,
    /// How often GitLab is asked for commits whose webhooks were lost: `10m`; `0s` for never.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub reconcile: Duration,
}

impl Default for GitLab {
    fn default() -> Self {
        Self {
            url: None,
            credentials: None,
            webhook_secrets: Vec::new(),
            status_name: "slipway".to_owned(),
            reconcile: Duration::from_mins(10),
        }
    }
}

/// `[database]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Where the server's history is: `postgres://postgres.example.com/slipway`, without a password; a file in `server.directory` if absent.
    pub url: Option<String>,
    /// The name of the credentials for it.
    pub credentials: Option<String>,
}
