//! Images by the API: labelled, tagged, listed.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;
use super::client::encoded;
use crate::model::failure::{Failure, FailureCode};

/// What an image is called in the API.
#[derive(Debug, Clone, Copy)]
pub struct ArtifactName<'a> {
    /// The project.
    pub project: &'a str,
    /// The rest of the repository's name.
    pub name: &'a str,
    /// Digest or tag.
    pub reference: &'a str,
}

impl ArtifactName<'_> {
    pub(super) fn path(&self) -> String {
        format!("{}/{}", repository(self.project, self.name), encoded(self.reference))
    }
}

fn repository(project: &str, name: &str) -> String {
    // Slashes of a repository's name are encoded twice.
    format!("/api/v2.0/projects/{}/repositories/{}/artifacts", encoded(project), encoded(&encoded(name)))
}

/// How something that may be missing rights was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is so now.
    Yes,
    /// It was so before.
    Already,
    /// The account may not.
    Forbidden,
    /// Another image has it.
    Elsewhere,
}

impl Client {
    /// The digest of an image, where the account is shown it: no gate hides what the API shows.
    pub async fn digest(&self, image: ArtifactName<'_>) -> Option<String> {
        let reply = self.get(&image.path()).await.ok()?;
        reply.body["digest"].as_str().map(str::to_owned)
    }

    /// Gives an image a further tag. A tag that names another image is left where it is: the API never moves one.
    ///
    /// # Errors
    /// `registry_unauthorized`, `registry_unavailable`, `registry_read_only`, `registry_refused`.
    pub async fn tag(&self, image: ArtifactName<'_>, tag: &str) -> Result<Done, Failure> {
        let path = format!("{}/tags", image.path());
        let reply = self.send(Method::POST, &path, Some(&json!({ "name": tag }))).await?;
        match reply.status {
            201 => Ok(Done::Yes),
            403 if reply.code() == "FORBIDDEN" => Ok(Done::Forbidden),
            409 | 412 => {
                let other = ArtifactName { reference: tag, ..image };
                let there = self.digest(other).await;
                Ok(if there.as_deref() == Some(image.reference) { Done::Already } else { Done::Elsewhere })
            }
            _ => Err(self.unexpected(&format!("set the tag `{tag}`"), &reply).await),
        }
    }

    /// Puts a label on an image; the project gets the label first where it has none of that name.
    ///
    /// # Errors
    /// As [`Client::tag`].
    pub async fn label(&self, image: ArtifactName<'_>, label: &str) -> Result<Done, Failure> {
        let Some(project) = self.project(image.project).await? else { return Ok(Done::Forbidden) };
        let Some(id) = self.label_id(project.id, label).await? else { return Ok(Done::Forbidden) };
        let path = format!("{}/labels", image.path());
        let reply = self.send(Method::POST, &path, Some(&json!({ "id": id }))).await?;
        match reply.status {
            200 | 201 => Ok(Done::Yes),
            409 => Ok(Done::Already),
            403 if reply.code() == "FORBIDDEN" => Ok(Done::Forbidden),
            _ => Err(self.unexpected(&format!("set the label `{label}`"), &reply).await),
        }
    }

    /// The number of a project's label, which is made where it is missing; `None` where the account may not.
    async fn label_id(&self, project: u64, label: &str) -> Result<Option<u64>, Failure> {
        if let Some(id) = self.known_label(project, label).await? {
            return Ok(Some(id));
        }
        let body = json!({ "name": label, "scope": "p", "project_id": project, "color": "#0065AB" });
        let reply = self.send(Method::POST, "/api/v2.0/labels", Some(&body)).await?;
        match reply.status {
            201 => {
                let id = reply.location.as_deref().and_then(|at| at.rsplit('/').next()).and_then(|id| id.parse().ok());
                match id {
                    Some(id) => Ok(Some(id)),
                    None => self.known_label(project, label).await,
                }
            }
            // Another build made it at the same time.
            409 => self.known_label(project, label).await,
            403 => Ok(None),
            _ => Err(self.unexpected(&format!("make the label `{label}`"), &reply).await),
        }
    }

    async fn known_label(&self, project: u64, label: &str) -> Result<Option<u64>, Failure> {
        // What is asked for is a part of the name, so there may be many.
        let path = format!("/api/v2.0/labels?scope=p&project_id={project}&name={}", encoded(label));
        let all = self.pages(&path).await?.unwrap_or_default();
        Ok(all.iter().find(|one| one["name"] == label).and_then(|one| one["id"].as_u64()))
    }

    /// The images of a repository, newest first, as the API shows them.
    ///
    /// # Errors
    /// `registry_forbidden`, `registry_repository_missing`, and as [`Client::tag`].
    pub async fn artifacts(&self, project: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let shows = "with_tag=true&with_label=true&with_scan_overview=true&sort=-push_time";
        match self.pages(&format!("{}?{shows}", repository(project, name))).await? {
            Ok(all) => Ok(all),
            Err(reply) if reply.status == 404 => {
                let happened = format!("has no images of `{project}/{name}`");
                Err(self.failure(FailureCode::RegistryRepositoryMissing, &happened))
            }
            Err(reply) => Err(self.unexpected("list images", &reply).await),
        }
    }
}
