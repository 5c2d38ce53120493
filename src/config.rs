//! The operator's configuration: `--config`, `SLIPWAY_CONFIG`, `/etc/slipway/config.toml`, then defaults.

mod amqp;
mod build;
mod credentials;
mod limits;
mod mirrors;
mod network;
mod operations;
mod registry;
mod scan;
mod server;
#[cfg(test)]
mod tests;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::failure::{Failure, FailureCode};
use crate::model::settings::ToolchainSettings;
use crate::model::written;
pub use amqp::{Amqp, Lanes, WorkerConfig};
pub use build::{BackendKind, Build, MediaTypesKind, RunnerKind, StartCheck};
pub use credentials::{CredentialsConfig, SecretSource};
pub use limits::LimitsConfig;
pub use mirrors::{Deploy, Mirror, Mirrors, Private};
pub use network::Network;
pub use operations::{Logs, Probes, Traces};
pub use registry::{ClientCertificate, CopyConfig, LabelKind, ProjectsConfig, Registry, RegistryKind};
pub use scan::ScanConfig;
pub use server::{Database, GitLab, HarborHooks, ServerConfig};
use units::durations;
pub use units::{duration, size, some_duration, some_size};

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where images go.
    pub registry: Registry,
    /// Where secrets are, by name; never the secrets.
    pub credentials: BTreeMap<String, CredentialsConfig>,
    /// Which sources may be cloned.
    pub sources: Sources,
    /// Where packages and images come from.
    pub mirrors: Mirrors,
    /// Certificate authorities and proxies.
    pub network: NetworkConfig,
    /// The most that a build may use.
    pub limits: LimitsConfig,
    /// What is kept between builds.
    pub cache: Cache,
    /// How builds run.
    pub build: Build,
    /// What is kept of the logs of a worker's builds.
    pub logs: Logs,
    /// The worker's own port.
    pub probes: Probes,
    /// Where worker and server tell what they did when.
    pub traces: Traces,
    /// Defaults by toolchain: `[defaults.maven]`.
    pub defaults: BTreeMap<String, ToolchainSettings>,
    /// The broker that messages come from.
    pub amqp: Amqp,
    /// How `slipway worker` works.
    pub worker: WorkerConfig,
    /// How `slipway server` answers.
    pub server: ServerConfig,
    /// Where `slipway server` keeps its history.
    pub database: Database,
}

/// `[sources]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// Prefixes of URLs that may be cloned; submodules and redirects too. The command line may clone anything when empty.
    pub allow: Vec<String>,
}

/// `[network]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// PEM bundle of certificate authorities; the machine's own if absent.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy for HTTP.
    pub http_proxy: Option<String>,
    /// Proxy for HTTPS.
    pub https_proxy: Option<String>,
    /// Hosts that need no proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// What builds in containers must not reach: `["10.1.2.3:5432", "10.20.0.0/16"]`. The broker, the database, worker and server
    /// themselves, and link-local addresses are closed to them anyway. Needs root and an Engine on the same machine; elsewhere the host's firewall has to do it.
    pub closed: Vec<String>,
}

/// `[cache]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Where caches are kept; `$XDG_CACHE_HOME/slipway` if absent.
    pub directory: Option<PathBuf>,
    /// Who shares a cache.
    pub scope: Scope,
}

/// Who shares a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The applications of a product line.
    #[default]
    ProductLine,
    /// The builds of one application.
    Application,
    /// Everyone; only where everyone trusts everyone.
    Everyone,
}

impl Config {
    /// The file that is read: the one that is stated, or the machine's; none where the defaults hold.
    #[must_use]
    pub fn file(stated: Option<&Path>) -> Option<&Path> {
        let standard = Path::new("/etc/slipway/config.toml");
        stated.or_else(|| standard.is_file().then_some(standard))
    }

    /// Reads a configuration file, or gives the defaults.
    ///
    /// # Errors
    /// `configuration_invalid` with file, line and key.
    pub fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let config = match Self::file(path) {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        let config = config.overlaid(crate::environment::overlay())?;
        if let Some(place) = config.network.closed.iter().find(|place| !network::is_place(place)) {
            let message = format!("`network.closed` has `{place}`, which closes nothing to builds");
            return Err(Failure::new(FailureCode::ConfigurationInvalid, message)
                .hint("write `host:port`, or a network: `10.20.0.0/16`; one address is `10.1.2.3/32`"));
        }
        for (key, value) in config.urls() {
            if url::Url::parse(value).is_ok_and(|url| shows_a_secret(&url)) {
                let message = format!(
                    "`{key}` of the configuration holds a password or a token, which plans and logs would show"
                );
                return Err(Failure::new(FailureCode::ConfigurationInvalid, message).hint(
                    "leave out what stands before the `@` of the URL, and name credentials beside it: `credentials = \"NAME\"`",
                ));
            }
        }
        Ok(config)
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let invalid = |why: &str, line, column| {
            let message = format!("the configuration `{}` cannot be used: {why}", path.display());
            let path = path.display().to_string();
            Failure::new(FailureCode::ConfigurationInvalid, message).at_column(path, line, column)
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            let hint = "name a file that is there and can be read: `--config FILE`, or `SLIPWAY_CONFIG`";
            invalid(&error.to_string(), None, None).hint(hint)
        })?;
        written::read(&text).map_err(|wrong| invalid(&wrong.message, wrong.line, wrong.column))
    }

    /// With the settings of variables `SLIPWAY__SECTION__KEY`: a value is TOML, or else a string.
    fn overlaid(self, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Failure> {
        let mut variables = variables.into_iter().peekable();
        if variables.peek().is_none() {
            return Ok(self);
        }
        let invalid = |name: &str, why: &str| {
            let message = format!("the environment variable `{name}` cannot be used: {why}");
            Failure::new(FailureCode::ConfigurationInvalid, message)
                .hint("write `SLIPWAY__SECTION__KEY`, with the keys of `config.toml`")
        };
        let mut table = toml::Table::try_from(&self).map_err(|error| invalid("SLIPWAY__…", &error.to_string()))?;
        let mut last = self;
        for (name, text) in variables {
            let keys: Vec<String> = name.split("__").skip(1).map(str::to_lowercase).collect();
            let Some((key, sections)) = keys.split_last() else { continue };
            let value =
                toml::from_str::<toml::Table>(&format!("x = {text}")).ok().and_then(|mut table| table.remove("x"));
            let mut place = &mut table;
            for section in sections {
                let entry = place.entry(section.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                place = entry.as_table_mut().ok_or_else(|| invalid(&name, &format!("`{section}` is no section")))?;
            }
            place.insert(key.clone(), value.unwrap_or(toml::Value::String(text)));
            last = written::read_table(&table).map_err(|why| invalid(&name, &why))?;
        }
        Ok(last)
    }

    /// What builds in containers must not reach: `network.closed`, the broker, the database, and the ports of worker and
    /// server where others than this machine reach them, as `host:port` or ranges.
    #[must_use]
    pub fn closed(&self) -> Vec<String> {
        let place = |url: &Option<String>| {
            let url = url::Url::parse(url.as_deref()?).ok()?;
            let usual = match url.scheme() {
                "amqp" => 5672,
                "amqps" => 5671,
                _ => 5432,
            };
            Some(format!("{}:{}", url.host_str()?, url.port().unwrap_or(usual)))
        };
        let others = [place(&self.amqp.url), place(&self.database.url)];
        let own = [Some(self.server.listen), self.probes.listen].into_iter().flatten();
        let own = own.filter(|listen| !listen.ip().is_loopback()).map(|listen| listen.to_string());
        self.network.closed.iter().cloned().chain(others.into_iter().flatten()).chain(own).collect()
    }

    /// The hosts that the configuration names, without their ports: registries and their copies, those that credentials are
    /// for, mirrors and proxies.
    #[must_use]
    pub fn hosts(&self) -> BTreeSet<String> {
        let registries = self.registry.host.iter().chain(self.registry.copies.iter().map(|copy| &copy.host));
        let accounts = self.credentials.values().flat_map(|entry| &entry.hosts);
        let hosts = registries.chain(accounts).chain(self.registry.client_certificates.keys());
        let proxies = [&self.network.http_proxy, &self.network.https_proxy].into_iter().flatten().map(String::as_str);
        let urls = self.urls().map(|(_, url)| url).chain(proxies);
        let named = hosts.map(|host| format!("http://{host}")).chain(urls.map(str::to_owned));
        named.filter_map(|url| url::Url::parse(&url).ok()?.host_str().map(str::to_owned)).collect()
    }

    /// The settings that are URLs and stand in plans or messages, by key.
    fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let others = [
            ("amqp.url", &self.amqp.url),
            ("database.url", &self.database.url),
            ("server.url", &self.server.url),
            ("server.gitlab.url", &self.server.gitlab.url),
        ];
        self.mirrors.urls().into_iter().chain(others.into_iter().filter_map(|(key, url)| Some((key, url.as_deref()?))))
    }
}

/// Whether a URL has a password; by HTTP a user's name too, as that is where tokens are put.
fn shows_a_secret(url: &url::Url) -> bool {
    url.password().is_some() || (matches!(url.scheme(), "http" | "https") && !url.username().is_empty())
}
