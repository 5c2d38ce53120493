//! What one logs in to a registry with, kept out of every log.

use std::fmt;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::environment;
use crate::model::failure::{Failure, FailureCode};

/// A value that must not be shown; `Debug` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// An account of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password: a robot account, for instance.
    Password {
        /// The account, as the registry knows it: `robot$slipway`.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// An OAuth identity token from `docker login`; only the Engine can use it.
    IdentityToken(Secret),
}

impl Credentials {
    /// An account with a password.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password { username: username.into(), password: Secret::new(password) }
    }

    /// In the form that the Engine takes.
    pub(crate) fn for_engine(&self, registry: &str) -> bollard::auth::DockerCredentials {
        let mut engine =
            bollard::auth::DockerCredentials { serveraddress: Some(registry.to_owned()), ..Default::default() };
        match self {
            Self::Password { username, password } => {
                engine.username = Some(username.clone());
                engine.password = Some(password.expose().to_owned());
            }
            Self::IdentityToken(token) => engine.identitytoken = Some(token.expose().to_owned()),
        }
        engine
    }
}

/// What Docker's own `config.json` and credential helpers know of a registry; `None` when they
/// know nothing.
///
/// # Errors
///
/// `registry_unauthorized` when the file or a helper is broken.
pub async fn of_docker(registry: &str) -> Result<Option<Credentials>, Failure> {
    let asked = registry.to_owned();
    // A helper is a process that is waited for.
    let found = tokio::task::spawn_blocking(move || {
        // A file that may not be read is somebody else's, and one that is not there nobody's.
        let config = environment::docker_config().and_then(|path| std::fs::read(path).ok());
        config.map_or(Ok(None), |config| look_up(&config, &asked))
    })
    .await;
    match found {
        // The error's own text may hold what a helper printed, so it is not shown.
        Ok(found) => found.map_err(|_| {
            Failure::new(
                FailureCode::RegistryUnauthorized,
                format!("Docker's `config.json` or its credential helper gave no usable credentials for `{registry}`."),
            )
            .hint("Log in again with `docker login`, or name credentials in `registry.credentials`.")
        }),
        Err(_) => Err(Failure::new(FailureCode::Internal, "The credential look-up ended abnormally.")),
    }
}

/// What `docker login` calls Docker Hub (Docker's command line, `registry.IndexServer`).
const HUB: &str = "https://index.docker.io/v1/";

/// Asks by each name that Docker may have for the registry.
fn look_up(config: &[u8], registry: &str) -> Result<Option<Credentials>, CredentialRetrievalError> {
    let hub = matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    for server in hub.then_some(HUB).into_iter().chain([registry]) {
        match docker_credential::get_credential_from_reader(config, server) {
            Ok(DockerCredential::UsernamePassword(username, password)) => {
                return Ok(Some(Credentials::password(username, password)));
            }
            Ok(DockerCredential::IdentityToken(token)) => {
                return Ok(Some(Credentials::IdentityToken(Secret::new(token))));
            }
            Err(CredentialRetrievalError::NoCredentialConfigured) => {}
            // How a helper says that it knows nothing (docker-credential-helpers, `errCredentialsNotFound`).
            Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
                if format!("{stdout}{stderr}").contains("credentials not found") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_file_is_read_by_the_names_that_docker_writes() {
        let config =
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YWRhOng="},"harbor.example.com":{"auth":"Ym9iOnk="}}}"#;
        let found = |registry: &str| look_up(config.as_bytes(), registry).unwrap();
        assert_eq!(found("docker.io"), Some(Credentials::password("ada", "x")));
        assert_eq!(found("harbor.example.com"), Some(Credentials::password("bob", "y")));
        assert_eq!(found("quay.io"), None);
        assert!(look_up(b"{\"auths\":", "quay.io").is_err(), "a file that is cut off is not an empty one");
        assert!(look_up(br#"{"auths":{"quay.io":{"auth":"!"}}}"#, "quay.io").is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", Credentials::password("robot$slipway", "hunter2"));
        assert!(shown.contains("robot$slipway") && !shown.contains("hunter2"), "{shown}");
        let shown = format!("{:?}", Credentials::IdentityToken(Secret::new("hunter2")));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
