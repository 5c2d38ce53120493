//! The harness's own registry, on a small disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::cluster::wait_for;
use super::namespace::{Namespace, Program};

/// Where it listens; workers and the Engine are told the proxy's port.
pub(super) const PORT: u16 = 5000;

pub(super) const USER: &str = "slipway";
pub(super) const PASSWORD: &str = "launch-it";

/// The registry.
pub(super) struct Registry {
    program: Option<Program>,
    data: PathBuf,
}

impl Registry {
    /// Starts an empty registry.
    pub(super) fn new(namespace: &Namespace) -> Self {
        let data = namespace.small_disk("registry", "200m");
        let below = |name: &str| namespace.directory().join(name);
        let accounts = namespace.run(&["htpasswd", "-Bbn", USER, PASSWORD], &[]);
        std::fs::write(below("registry.htpasswd"), accounts).unwrap();
        let configuration = format!(
            "version: 0.1\nlog: {{ level: warn }}\nstorage:\n  filesystem: {{ rootdirectory: {} }}\n\
             http: {{ addr: \"127.0.0.1:{PORT}\" }}\n\
             auth:\n  htpasswd: {{ realm: faults, path: {} }}\n",
            data.display(),
            below("registry.htpasswd").display()
        );
        std::fs::write(below("registry.yml"), configuration).unwrap();
        let mut registry = Self { program: None, data };
        registry.start(namespace);
        registry
    }

    /// Where blobs are: a small disk.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Starts it with what it has.
    pub(super) fn start(&mut self, namespace: &Namespace) {
        let configuration = namespace.directory().join("registry.yml").display().to_string();
        self.program = Some(namespace.start("registry", &["docker-registry", "serve", &configuration], &[]));
        wait_for("the registry", Duration::from_secs(30), || {
            std::net::TcpStream::connect(("127.0.0.1", PORT)).map(drop).map_err(|error| error.to_string())
        });
    }

    /// Starts it if a case left it dead.
    pub(super) fn revive(&mut self, namespace: &Namespace) {
        if !self.program.as_mut().is_some_and(Program::is_running) {
            self.start(namespace);
        }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }
}

/// What is wrong with an image: its manifest and every blob have to be there.
pub(super) async fn unreadable(reference: &str) -> Result<(), String> {
    let path = reference.split_once('/').ok_or("no host")?.1;
    let (repository, tag) = path.rsplit_once(':').ok_or("no tag")?;
    let manifest = get(&format!("/v2/{repository}/manifests/{tag}")).await?;
    let manifest: Value = serde_json::from_slice(&manifest).map_err(|error| error.to_string())?;
    let layers = manifest["layers"].as_array().ok_or("the manifest has no layers")?;
    for blob in layers.iter().chain([&manifest["config"]]) {
        let digest = blob["digest"].as_str().ok_or("a layer has no digest")?;
        let bytes = get(&format!("/v2/{repository}/blobs/{digest}")).await?;
        let found = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        if found != digest {
            return Err(format!("the blob {digest} of {reference} is {found}"));
        }
    }
    Ok(())
}

/// What is wrong with an image whose build may have been stopped before its push: a tag that is there has to be whole.
pub(super) async fn half_pushed(reference: &str) -> Option<String> {
    let why = unreadable(reference).await.err()?;
    let absent = why.contains("/manifests/") && why.contains("404 Not Found");
    (!absent).then(|| format!("{reference} has a tag and cannot be read: {why}"))
}

async fn get(path: &str) -> Result<Vec<u8>, String> {
    // A second installation is refused, and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let types = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    let request = reqwest::Client::new()
        .get(format!("http://127.0.0.1:{PORT}{path}"))
        .basic_auth(USER, Some(PASSWORD))
        .header("Accept", types)
        .timeout(Duration::from_secs(20));
    let answer = async { request.send().await?.error_for_status()?.bytes().await };
    answer.await.map(|bytes| bytes.to_vec()).map_err(|error| format!("{path}: {error}"))
}
