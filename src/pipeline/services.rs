//! Everything that a build needs from this machine, made once at the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::commands::Env;
use super::secret_files;
use crate::catalog::Catalog;
use crate::config::{Config, Scope};
use crate::image::Backend;
use crate::model::command::{FileMount, Limits};
use crate::model::failure::{Failure, FailureCode};
use crate::model::plan::Plan;
use crate::model::request::BuildRequest;
use crate::runner::Runner;
use crate::trust::Trust;
use crate::workspace::Workspace;

/// What builds are made with.
pub struct Services {
    /// The operator's configuration.
    pub config: Config,
    /// Toolchains and base images.
    pub catalog: Arc<Catalog>,
    /// Where commands run.
    pub runner: Runner,
    /// What makes images.
    pub backend: Backend,
    /// Where caches are.
    pub cache: PathBuf,
    /// The operator's certificate authorities.
    pub trust: Option<Trust>,
}

impl Services {
    /// Where workspaces are made.
    #[must_use]
    pub fn workspaces(&self) -> PathBuf {
        self.cache.join("workspaces")
    }

    /// The directory of a named cache for this request's scope.
    pub(super) fn cache(&self, request: &BuildRequest, workspace: &Workspace, name: &str) -> Result<PathBuf, Failure> {
        let directory = self.scope(request, workspace).join(name);
        std::fs::create_dir_all(&directory).map_err(|error| {
            Failure::new(FailureCode::Internal, format!("the cache `{}` cannot be made: {error}", directory.display()))
        })?;
        Ok(directory)
    }

    fn scope(&self, request: &BuildRequest, workspace: &Workspace) -> PathBuf {
        if request.untrusted {
            return workspace.caches();
        }
        // What the user of this machine writes, the user in a container cannot change.
        let scopes = match self.runner {
            Runner::Container(_) => self.cache.join("toolchains"),
            Runner::Host(_) => self.cache.join("toolchains/host"),
        };
        match self.config.cache.scope {
            Scope::ProductLine => scopes.join("product-lines").join(request.product_line.as_str()),
            Scope::Application => {
                scopes.join("applications").join(request.product_line.as_str()).join(request.name.as_str())
            }
            Scope::Everyone => scopes.join("everyone"),
        }
    }

    /// The stamp that says that a cache has resolved these manifests.
    pub(super) fn resolved(&self, request: &BuildRequest, workspace: &Workspace, key: &str) -> PathBuf {
        self.scope(request, workspace).join("resolved").join(key)
    }

    /// Proxies and certificate authorities, as every tool wants to hear of them.
    pub(super) fn network_env(&self) -> Env {
        let mut env = if self.trust.is_some() { Trust::env() } else { Env::new() };
        let network = &self.config.network;
        for (name, value) in [
            ("http_proxy", &network.http_proxy),
            ("https_proxy", &network.https_proxy),
            ("no_proxy", &network.no_proxy),
        ] {
            if let Some(value) = value {
                env.insert(name.to_owned(), value.clone());
                env.insert(name.to_uppercase(), value.clone());
            }
        }
        env
    }

    /// Passwords of proxies and in the operator's files, which no log shows.
    pub(super) fn passwords(&self, plan: &Plan) -> Vec<String> {
        let network = &self.config.network;
        let proxies = [&network.http_proxy, &network.https_proxy];
        let parsed = proxies.into_iter().flatten().filter_map(|proxy| url::Url::parse(proxy).ok());
        // As it stands in the URL, and as the proxy is told it.
        let raw = parsed.filter_map(|proxy| proxy.password().map(str::to_owned));
        let decoded = raw.flat_map(|raw| [percent_decoded(&raw), raw]);
        let files = self.files(&plan.files);
        decoded.chain(files.iter().flat_map(|file| secret_files::passwords(&file.source))).collect()
    }

    /// The operator's files that commands see.
    pub(super) fn files(&self, wanted: &BTreeMap<String, String>) -> Vec<FileMount> {
        let mut files = self.trust.as_ref().map(Trust::files).unwrap_or_default();
        let settings = serde_json::to_value(&self.config).unwrap_or_default();
        for (target, setting) in wanted {
            let value = setting.split('.').try_fold(&settings, |value, key| value.get(key));
            if let Some(path) = value.and_then(serde_json::Value::as_str) {
                files.push(FileMount { source: PathBuf::from(path), target: PathBuf::from(target) });
            }
        }
        files
    }

    /// The time of a whole build: the operator's, or less where the request asks for less.
    pub(super) fn timeout(&self, request: &BuildRequest) -> Duration {
        let limit = self.config.limits.timeout;
        request.timeout.map_or(limit, |asked| asked.min(limit))
    }

    /// What a command may use, in the time that is left.
    pub(super) fn limits(&self, left: Duration) -> Limits {
        let limits = &self.config.limits;
        let millicpus = (limits.cpus * 1000.0).clamp(1.0, 1_000_000.0);
        Limits {
            timeout: left,
            silence: Some(limits.silence),
            memory: limits.memory,
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
            millicpus: millicpus as u64,
            processes: limits.processes,
            output: limits.log,
        }
    }
}

fn percent_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

/// Leaves the stamp; losing it costs time only.
pub(super) fn mark_resolved(stamp: &Path) {
    let written = stamp.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(stamp, ""));
    if let Err(error) = written {
        tracing::debug!(path = %stamp.display(), %error, "a stamp cannot be written");
    }
}
