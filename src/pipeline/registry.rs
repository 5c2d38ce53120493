//! The registry before a build: what a push would meet is said before anything is compiled.

use std::time::Duration;

use super::Services;
use crate::config::RegistryKind;
use crate::harbor::{Client, NewProject, Preflight, SystemInfo, Wanted};
use crate::image::credentials::Credentials;
use crate::image::transfer::Place;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::image_reference::ImageReference;
use crate::model::names::{ApplicationName, ProductLine};
use crate::model::plan::Plan;
use crate::model::request::BuildRequest;

/// How long the look may take. A Harbor takes 1.5 s to refuse a login, several times.
const PATIENCE: Duration = Duration::from_secs(15);

/// Characters of a repository's name, its project included: Harbor answers a longer one with a bare 500.
const LONGEST_NAME: usize = 245;

/// A registry that was asked what it is.
pub(super) struct Asked(Option<SystemInfo>);

/// Asks the registry what it is, which needs no plan. `None` where nobody has to know, or where it cannot be asked: whoever
/// needs it says why.
pub(super) async fn ask(services: &Services, request: &BuildRequest) -> Option<Asked> {
    let registry = &services.config.registry;
    let host = registry.host.as_deref().filter(|_| registry.kind != Some(RegistryKind::Plain))?;
    let project = request.product_line.as_str();
    let reference = ImageReference::new(host, &format!("{project}/{}", request.name), None, None).ok()?;
    let client = services.harbor(&reference, project).await.ok()??.for_request(request.id.as_str());
    // One that hangs is not asked again before the build.
    Some(Asked(tokio::time::timeout(PATIENCE, client.system_info()).await.ok().flatten()))
}

/// Looks whether the push can succeed, where the registry is a Harbor; makes the project where the operator wants that.
///
/// # Errors
/// What is certain to fail: `registry_unauthorized`, `registry_forbidden`, `registry_repository_missing`,
/// `registry_quota_exceeded`, `registry_tag_immutable`, and `registry_read_only`.
pub(super) async fn ready(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    asked: Option<Asked>,
) -> Result<Vec<Warning>, Failure> {
    let references = super::image::references(plan)?;
    let registry = &services.config.registry;
    let Some(first) =
        references.first().filter(|_| registry.host.is_some() && registry.kind != Some(RegistryKind::Plain))
    else {
        return Ok(Vec::new());
    };
    let project = request.product_line.as_str();
    let Some(client) = services.harbor(first, project).await? else { return Ok(Vec::new()) };
    let client = client.for_request(request.id.as_str());
    let tags: Vec<String> = references.iter().filter_map(ImageReference::tag).map(ToString::to_string).collect();
    let commit = plan.source.commit.as_ref().map(ToString::to_string).filter(|_| !plan.source.dirty);
    let wanted = Wanted { project, name: request.name.as_str(), tags: &tags, commit: commit.as_deref() };
    let look = async {
        match asked {
            Some(Asked(said)) => client.preflight_of(&said?, wanted).await,
            None => client.preflight(wanted).await,
        }
    };
    // A registry that hangs now may answer when the image is built.
    let look = tokio::time::timeout(PATIENCE, look).await;
    let Ok(Some(mut found)) = look else { return Ok(Vec::new()) };
    if found.project_missing {
        create(services, first, project, request.id.as_str()).await?;
        found = client.preflight(wanted).await.unwrap_or_default();
        if found.project_missing {
            return Err(unusable(&client, project));
        }
    }
    let warnings = room(&found, project);
    match found.failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(warnings),
    }
}

/// A project that was made, and that the account does not see.
fn unusable(client: &Client, project: &str) -> Failure {
    let happened = format!("has made the project `{project}`, and `{}` may not push to it", client.account());
    client
        .failure(FailureCode::RegistryForbidden, &happened)
        .hint("push with a system robot that may push to every project, or make a robot for the new project")
}

/// Makes the project of a product line, as the operator wants it.
pub(super) async fn create(
    services: &Services,
    reference: &ImageReference,
    project: &str,
    id: &str,
) -> Result<(), Failure> {
    let Some(wanted) = &services.config.registry.projects else {
        let message = format!("The registry `{}` has no project `{project}`.", reference.registry());
        return Err(Failure::new(FailureCode::RegistryRepositoryMissing, message).hint(
            "correct `application.product_line`, let an administrator of Harbor create the project, or let Slipway do it: `[registry.projects]`",
        ));
    };
    let account = crate::secrets::account(&services.config, &wanted.credentials, reference.registry(), project).await?;
    let access = services.access_of_nobody(reference.registry(), project).await?;
    let client = access.harbor_as(reference, Some(account))?.for_request(id);
    let new = NewProject {
        name: project.to_owned(),
        public: wanted.public,
        limit: wanted.storage_limit,
        metadata: wanted.metadata.clone(),
    };
    client.create_project(&new).await?;
    Ok(())
}

pub(super) fn project_of(reference: &ImageReference) -> &str {
    reference.repository().split('/').next().unwrap_or_default()
}

/// A warning where the next image may not fit.
fn room(found: &Preflight, project: &str) -> Vec<Warning> {
    let Some(left) = found.left else { return Vec::new() };
    let last = match found.last {
        Some(last) if left < last => format!("the last image has {} MB", last / 1_000_000),
        None if left == 0 => "what it holds cannot be seen".to_owned(),
        _ => return Vec::new(),
    };
    let message = format!("The project `{project}` has room for {} MB, and {last}.", left / 1_000_000);
    vec![Warning::new("registry_quota_low", message, "Raise the project's quota in Harbor before it is used up.")]
}

impl Services {
    /// What a push of an application would meet, or without a name one of any application of the product line; `None` where
    /// the registry is no Harbor, or does not answer.
    ///
    /// # Errors
    /// `configuration_invalid` where the credentials cannot be had.
    pub async fn look_at_registry(
        &self,
        product_line: &ProductLine,
        name: Option<&ApplicationName>,
        tags: &[String],
    ) -> Result<Option<Preflight>, Failure> {
        let registry =
            self.config.registry.host.as_deref().filter(|_| self.config.registry.kind != Some(RegistryKind::Plain));
        let Some(host) = registry else { return Ok(None) };
        // Rights are a project's: any name does.
        let name = name.map_or("doctor", ApplicationName::as_str);
        let reference = ImageReference::new(host, &format!("{product_line}/{name}"), None, None)
            .map_err(|error| Failure::new(FailureCode::ConfigurationInvalid, format!("`registry.host`: {error}")))?;
        let Some(client) = self.harbor(&reference, product_line.as_str()).await? else { return Ok(None) };
        let wanted = Wanted { project: product_line.as_str(), name, tags, commit: None };
        Ok(client.preflight(wanted).await)
    }

    /// Logs in to the registry, with the account of a product line or of any that may use it: who was taken, `None` where
    /// nobody was asked for.
    ///
    /// # Errors
    /// `registry_unavailable`, `registry_unauthorized`, `registry_refused`; `configuration_invalid` where the credentials
    /// cannot be had.
    pub async fn log_in(&self, host: &str, product_line: Option<&ProductLine>) -> Result<Option<String>, Failure> {
        let invalid = |error| Failure::new(FailureCode::ConfigurationInvalid, format!("`registry.host`: {error}"));
        let reference = ImageReference::new(host, "slipway/doctor", None, None).map_err(invalid)?;
        let named = self.config.registry.credentials.as_ref().and_then(|name| self.config.credentials.get(name));
        // Without a product line, the first that has an account of its own there.
        let of_host = self.config.credentials.values().filter(|entry| entry.hosts.iter().any(|one| one == host));
        let any = named.into_iter().chain(of_host).flat_map(|entry| &entry.product_lines).find(|line| *line != "*");
        let line = product_line.map(ProductLine::as_str).or(any.map(String::as_str)).unwrap_or("doctor");
        let access = self.registry_access(line).await?;
        let known = match access.credentials.clone() {
            Some(known) => Some(known),
            None => crate::image::credentials::of_docker(host).await?,
        };
        let looked = tokio::time::timeout(PATIENCE, crate::image::log_in(&reference, known.as_ref(), &access)).await;
        let taken = looked.map_err(|_| {
            let message = format!("The registry `{host}` did not answer within {} s.", PATIENCE.as_secs());
            Failure::new(FailureCode::RegistryUnavailable, message)
        })??;
        Ok(match known {
            Some(Credentials::Password { username, .. }) if taken => Some(username),
            _ => None,
        })
    }

    /// An image in whatever registry, with the account that the operator has for it; the registry's log names this id.
    ///
    /// # Errors
    /// `configuration_invalid` where the credentials cannot be had.
    pub async fn place(&self, reference: ImageReference, id: &str) -> Result<Place, Failure> {
        let access = self.access(reference.registry(), project_of(&reference)).await?.for_request(id);
        Place::new(reference, access).await
    }

    /// Does what `act` does with these images, and again where an account was changed while that went on and its registry
    /// no longer takes the old one: secrets are read anew, and what was brought is not brought again. The registries' logs
    /// name this id.
    ///
    /// # Errors
    /// Those of `act`, and of [`Services::place`].
    pub async fn with_accounts<T>(
        &self,
        images: &[ImageReference],
        id: &str,
        mut act: impl AsyncFnMut(&[Place]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut places = self.places(images, id).await?;
        loop {
            let failure = match act(&places).await {
                Err(failure) if failure.code == FailureCode::RegistryUnauthorized => failure,
                done => return done,
            };
            let now = self.places(images, id).await?;
            if now == places {
                return Err(failure);
            }
            places = now;
        }
    }

    async fn places(&self, images: &[ImageReference], id: &str) -> Result<Vec<Place>, Failure> {
        let mut places = Vec::new();
        for image in images {
            places.push(self.place(image.clone(), id).await?);
        }
        Ok(places)
    }

    /// The images of a repository, as Harbor's API shows them.
    ///
    /// # Errors
    /// `request_invalid` where the registry is no Harbor; the `registry_…` codes, `registry_unavailable` where it does not
    /// answer.
    pub async fn images(&self, reference: &ImageReference) -> Result<Vec<serde_json::Value>, Failure> {
        let client = self.client_of(reference).await?;
        if !client.is_harbor().await? {
            let message = format!("The registry `{}` is no Harbor.", reference.registry());
            return Err(
                Failure::new(FailureCode::RequestInvalid, message).hint("only Harbor lists what its images are")
            );
        }
        let (project, name) = reference.repository().split_once('/').unwrap_or((reference.repository(), ""));
        client.artifacts(project, name).await
    }

    /// Sees to it that the project of an image is there, where the registry is a Harbor; its log names this id.
    ///
    /// # Errors
    /// `registry_repository_missing` where it is not, and the operator lets nobody make it; the `registry_…` codes.
    pub async fn project_for(&self, reference: &ImageReference, id: &str) -> Result<(), Failure> {
        let client = self.client_of(reference).await?.for_request(id);
        let project = project_of(reference);
        if !client.is_harbor().await? {
            return Ok(());
        }
        if reference.repository().len() > LONGEST_NAME {
            let message =
                format!("`{}` is longer than the {LONGEST_NAME} characters of Harbor", reference.repository());
            return Err(Failure::new(FailureCode::RequestInvalid, message).hint("shorten the project or the name"));
        }
        if client.has_project(project).await? {
            return Ok(());
        }
        create(self, reference, project, id).await
    }
}
