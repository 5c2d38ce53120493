//! Projects: there or not, what they may hold, made on demand.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;
use super::client::encoded;
use crate::model::failure::{Failure, FailureCode};

/// A project, as far as the account is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its number.
    pub id: u64,
    /// Its settings: `public`, `auto_scan`, `prevent_vul` …
    pub metadata: BTreeMap<String, String>,
}

/// What a project holds, and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes.
    pub used: u64,
    /// Bytes; `None` is without limit.
    pub limit: Option<u64>,
}

impl Quota {
    /// Bytes that still fit; `None` is without limit.
    #[must_use]
    pub fn left(self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }
}

/// A project that is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewProject {
    /// Its name.
    pub name: String,
    /// Whether everyone may pull.
    pub public: bool,
    /// Bytes that it may hold; only an administrator's word counts.
    pub limit: Option<u64>,
    /// Further settings.
    pub metadata: BTreeMap<String, String>,
}

impl Client {
    /// Whether there is such a project. Every account that logs in is told.
    ///
    /// # Errors
    /// `registry_unauthorized`, `registry_unavailable`.
    pub async fn has_project(&self, name: &str) -> Result<bool, Failure> {
        let path = format!("/api/v2.0/projects?project_name={}", encoded(name));
        let reply = self.send(Method::HEAD, &path, None).await?;
        match reply.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.unexpected("look for projects", &reply).await),
        }
    }

    /// The project; `None` where the account is not shown it.
    ///
    /// # Errors
    /// `registry_unauthorized`, `registry_unavailable`.
    pub async fn project(&self, name: &str) -> Result<Option<Project>, Failure> {
        let reply = self.named(Method::GET, &format!("/api/v2.0/projects/{}", encoded(name))).await?;
        Ok(reply.and_then(|body| {
            let metadata = body["metadata"].as_object().cloned().unwrap_or_default();
            let metadata = metadata.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())));
            Some(Project { id: body["project_id"].as_u64()?, metadata: metadata.collect() })
        }))
    }

    /// What the project holds and may hold; `None` where the account is not told (`project:read` and `quota:read`).
    ///
    /// # Errors
    /// `registry_unauthorized`, `registry_unavailable`.
    pub async fn quota(&self, project: &str) -> Result<Option<Quota>, Failure> {
        let reply = self.named(Method::GET, &format!("/api/v2.0/projects/{}/summary", encoded(project))).await?;
        Ok(reply.and_then(|body| {
            let used = body["quota"]["used"]["storage"].as_u64()?;
            // -1 is without limit.
            Some(Quota { used, limit: body["quota"]["hard"]["storage"].as_u64() })
        }))
    }

    /// Makes a project; one that another made at the same time is as good. `true` where it was made now.
    ///
    /// # Errors
    /// `registry_forbidden` where the account may not, with who can; `registry_unauthorized`, `registry_read_only`,
    /// `registry_unavailable`, `registry_refused`.
    pub async fn create_project(&self, new: &NewProject) -> Result<bool, Failure> {
        let mut metadata: BTreeMap<&str, &str> =
            new.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        metadata.insert("public", if new.public { "true" } else { "false" });
        let mut body = json!({ "project_name": new.name, "metadata": metadata });
        if let Some(limit) = new.limit {
            body["storage_limit"] = json!(limit);
        }
        let reply = self.send(Method::POST, "/api/v2.0/projects", Some(&body)).await?;
        match reply.status {
            201 => Ok(true),
            409 => Ok(false),
            403 if reply.code() == "FORBIDDEN" => {
                let (account, words) = (self.account(), reply.message());
                let happened = format!("does not let `{account}` create the project `{}`: {words}", new.name);
                Err(self.failure(FailureCode::RegistryForbidden, &happened).hint(
                    "let a system robot with the right `project:create` do it (`registry.projects.credentials`), or ask an administrator of Harbor",
                ))
            }
            _ => Err(self.unexpected(&format!("create the project `{}`", new.name), &reply).await),
        }
    }

    /// A `GET` of what a name stands for: a project may be called `123`, which else would be a number.
    pub(super) async fn named(&self, method: Method, path: &str) -> Result<Option<Value>, Failure> {
        let request = self.authorized(self.request(method, path)).header("x-is-resource-name", "true");
        let reply = self.reply(request).await?;
        match reply.status {
            200 => Ok(Some(reply.body)),
            403 | 404 => Ok(None),
            _ => Err(self.unexpected("read a project", &reply).await),
        }
    }
}
