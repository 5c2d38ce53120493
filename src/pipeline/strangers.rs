//! Builds of sources that nobody vouches for, such as a fork's: what they must not see.

use std::path::PathBuf;

use super::commands::Env;
use super::secret_files::emptied;
use super::services::Services;
use crate::model::command::FileMount;
use crate::model::failure::{Failure, FailureCode};
use crate::model::request::BuildRequest;
use crate::runner::Runner;
use crate::workspace::Workspace;

/// Refuses such a source where commands run on the machine itself, whose files they could read.
///
/// # Errors
/// `source_forbidden`.
pub(super) fn may_run(services: &Services, request: &BuildRequest) -> Result<(), Failure> {
    match services.runner {
        Runner::Host(_) if request.untrusted => {
            let message =
                "the source is untrusted, and commands run on the machine itself here, whose files they could read";
            Err(Failure::new(FailureCode::SourceForbidden, message).hint(
                "build it where `build.runner` is `container`, or not at all: an application's `rules.forks` says so",
            ))
        }
        _ => Ok(()),
    }
}

/// Proxies without their passwords.
pub(super) fn without_passwords(env: &mut Env) {
    for value in env.values_mut() {
        if let Ok(mut url) = url::Url::parse(value)
            && url.password().is_some()
            && url.set_password(None).and_then(|()| url.set_username("")).is_ok()
        {
            *value = url.to_string();
        }
    }
}

/// The operator's files, each as a copy without the secrets that it holds.
///
/// # Errors
/// `internal` where a copy cannot be made.
pub(super) fn without_secrets(files: &mut [FileMount], workspace: &Workspace) -> Result<(), Failure> {
    for (index, file) in files.iter_mut().enumerate() {
        // What is no XML holds certificates, which are everybody's.
        let Ok(text) = std::fs::read_to_string(&file.source) else { continue };
        if !text.trim_start().starts_with('<') {
            continue;
        }
        let copy: PathBuf = workspace.files().join(format!("emptied-{index}"));
        std::fs::write(&copy, emptied(&text))
            .map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", copy.display())))?;
        file.source = copy;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_lose_their_accounts_and_nothing_else() {
        let mut env: Env = [
            ("HTTPS_PROXY", "http://ada:hunter2@proxy.example.com:3128"),
            ("NO_PROXY", "localhost,10.0.0.0/8"),
            ("HTTP_PROXY", "http://proxy.example.com:3128"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        without_passwords(&mut env);
        assert_eq!(env["HTTPS_PROXY"], "http://proxy.example.com:3128/");
        assert_eq!(env["HTTP_PROXY"], "http://proxy.example.com:3128");
        assert_eq!(env["NO_PROXY"], "localhost,10.0.0.0/8");
    }

    #[test]
    fn settings_keep_their_mirrors_and_lose_their_passwords() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(parent.path(), "b1", 0).unwrap();
        let settings = parent.path().join("settings.xml");
        let text = "<settings><mirrors><mirror><url>https://nexus.example.com/</url></mirror></mirrors>\n\
            <servers><server><id>a</id><password>hunt<!-- -->er2</password><privateKey><![CDATA[/key]]></privateKey>\
            </server></servers></settings>";
        std::fs::write(&settings, text).unwrap();
        let authorities = parent.path().join("ca.crt");
        std::fs::write(&authorities, "-----BEGIN CERTIFICATE-----").unwrap();
        let mount = |source: &PathBuf| FileMount { source: source.clone(), target: "/slipway/x".into() };
        let mut files = [mount(&settings), mount(&authorities)];
        without_secrets(&mut files, &workspace).unwrap();
        let seen = std::fs::read_to_string(&files[0].source).unwrap();
        assert!(seen.contains("https://nexus.example.com/") && seen.contains("<id>a</id>"), "{seen}");
        assert!(!seen.contains("hunt") && !seen.contains("er2") && !seen.contains("/key"), "{seen}");
        assert_eq!(files[1].source, authorities);
    }
}
