//! Images as the registry has them: pulled by digest, looked at, removed.

use std::process::Command;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::ImageConfig;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt as _;
use serde_json::Value;

use crate::services::service;

/// The Engine, which has to be there.
pub(crate) async fn engine() -> Docker {
    let docker =
        Docker::connect_with_local_defaults().map(|docker| docker.with_timeout(std::time::Duration::from_mins(5)));
    let docker = match docker {
        Ok(docker) => docker.negotiate_version().await,
        Err(error) => Err(error),
    };
    docker.unwrap_or_else(|error| panic!("the Docker Engine does not answer: {error}; run `make services`"))
}

/// A pulled image; its names are removed when the test ends.
pub(crate) struct Pulled {
    /// `host/repository@sha256:…`.
    pub(crate) reference: String,
    /// The configuration.
    pub(crate) config: ImageConfig,
    /// What was done above the base image, oldest first.
    pub(crate) history: Vec<String>,
    names: Vec<String>,
}

impl Pulled {
    /// Pulls what a report says was pushed.
    pub(crate) async fn from_report(docker: &Docker, report: &Value) -> Self {
        let image = &report["image"];
        let names: Vec<String> = image["references"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|reference| Some(reference.as_str()?.to_owned()))
            .collect();
        let tagged = names.first().expect("the report names the image");
        let (repository, _) = tagged.rsplit_once(':').expect("the reference has a tag");
        let reference = format!("{repository}@{}", image["digest"].as_str().unwrap_or_default());
        // The Engine's own copy goes first, so that what is looked at is what the registry has.
        remove(&names);
        let mut pulled = Self { reference, config: ImageConfig::default(), history: Vec::new(), names };
        pulled.names.push(pulled.reference.clone());
        let credentials = DockerCredentials {
            username: Some(service("SLIPWAY_TEST_USER").to_owned()),
            password: Some(service("SLIPWAY_TEST_PASSWORD").to_owned()),
            ..DockerCredentials::default()
        };
        let options = CreateImageOptionsBuilder::new().from_image(&pulled.reference).build();
        let pull: Result<Vec<_>, _> = docker.create_image(Some(options), None, Some(credentials)).try_collect().await;
        pull.unwrap_or_else(|error| panic!("`{}` cannot be pulled: {error}", pulled.reference));
        pulled.config = docker.inspect_image(&pulled.reference).await.unwrap().config.unwrap_or_default();
        pulled.history = history(docker, &pulled.reference).await;
        if let Some(base) = image["base"].as_str().filter(|base| !base.is_empty() && *base != "scratch") {
            let below = history(docker, base).await.len();
            pulled.history.drain(..below);
        }
        pulled
    }

    /// The value of a label.
    pub(crate) fn label(&self, key: &str) -> &str {
        let labels = self.config.labels.as_ref();
        labels.and_then(|labels| labels.get(&format!("org.opencontainers.image.{key}"))).map_or("", String::as_str)
    }

    /// The layers that were placed above the base image, by name.
    pub(crate) fn layers(&self) -> Vec<&str> {
        let copies = self.history.iter().filter_map(|line| line.strip_prefix("COPY layer-"));
        copies.filter_map(|rest| rest.strip_suffix("/ / # buildkit")).collect()
    }
}

impl Drop for Pulled {
    fn drop(&mut self) {
        remove(&self.names);
    }
}

fn remove(names: &[String]) {
    let _ = Command::new("docker").args(["image", "rm", "--force"]).args(names).output();
}

/// Oldest first.
async fn history(docker: &Docker, image: &str) -> Vec<String> {
    let history = docker.image_history(image).await;
    let history = history.unwrap_or_else(|error| panic!("`{image}`: {error}"));
    history.into_iter().rev().map(|item| item.created_by).collect()
}
