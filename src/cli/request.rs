//! Flags become a request.

use std::path::{Path, PathBuf};

use super::args::Common;
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::{ApplicationName, BuildId, Tag};
use crate::model::origin::OriginKind;
use crate::model::request::{BuildRequest, RequestedSource};
use crate::model::settings::{ApplicationSettings, Settings};
use crate::model::source::{RepositoryUrl, Source};

/// The request that the flags state.
///
/// # Errors
/// `request_invalid` naming the flag.
pub(super) fn request(flags: &Common, tags: &[String]) -> Result<BuildRequest, Failure> {
    let source = source(flags)?;
    let local = match &source {
        RequestedSource::Directory { path, directory, .. } => local_settings(&path.join(directory))?,
        RequestedSource::Repository(_) => ApplicationSettings::default(),
    };
    let name = flags.name.clone().or(local.name);
    let name = match name {
        Some(name) => name.parse().map_err(|error| invalid("--name", &error))?,
        None => default_name(&source)?,
    };
    let product_line = flags.product_line.clone().or(local.product_line).unwrap_or_else(|| "local".to_owned());
    let tags = tags.iter().map(|tag| tag.parse::<Tag>().map_err(|error| invalid("--tag", &error)));
    Ok(BuildRequest {
        id: uuid::Uuid::now_v7().to_string().parse::<BuildId>().map_err(|error| invalid("id", &error))?,
        source,
        credentials: flags.credentials.clone(),
        product_line: product_line.parse().map_err(|error| invalid("--product-line", &error))?,
        name,
        kind: flags.kind.or(local.kind).unwrap_or_default(),
        tags: tags.collect::<Result<_, _>>()?,
        settings: settings(flags)?,
        asked_by: OriginKind::Flag,
        timeout: None,
        untrusted: flags.untrusted,
    })
}

fn source(flags: &Common) -> Result<RequestedSource, Failure> {
    let path = Path::new(&flags.source);
    let is_url =
        flags.source.contains("://") || (flags.source.contains('@') && flags.source.contains(':') && !path.exists());
    if is_url {
        let url: RepositoryUrl = flags.source.parse().map_err(|error| invalid("the repository", &error))?;
        let revision = flags.revision.as_deref().map(str::parse).transpose();
        let directory = flags.directory.clone().unwrap_or_default();
        return Ok(RequestedSource::Repository(Source {
            url,
            revision: revision.map_err(|error| invalid("--revision", &error))?,
            commit: None,
            directory: inside(&directory)?,
        }));
    }
    if flags.revision.is_some() {
        let message = "--revision goes with a repository's URL; a directory is built as it is";
        return Err(Failure::new(FailureCode::RequestInvalid, message)
            .hint("give the repository as `file:///…` to build one of its commits"));
    }
    let absolute = path.canonicalize().map_err(|error| {
        let message = format!("there is no directory `{}`: {error}", flags.source);
        Failure::new(FailureCode::RequestInvalid, message).hint("give a directory, or the URL of a repository")
    })?;
    if !absolute.is_dir() {
        let message = format!("`{}` is not a directory", flags.source);
        return Err(Failure::new(FailureCode::RequestInvalid, message).hint("give the directory that holds it"));
    }
    let (root, below) = repository_root(&absolute);
    let directory = match &flags.directory {
        Some(directory) if below.is_empty() => inside(directory)?,
        Some(directory) => inside(&format!("{below}/{directory}"))?,
        None => below,
    };
    Ok(RequestedSource::Directory { url: crate::checkout::origin_url(&root), path: root, directory })
}

/// The repository that a directory lies in, and its path below the repository's root.
fn repository_root(directory: &Path) -> (PathBuf, String) {
    let root = directory.ancestors().find(|ancestor| ancestor.join(".git").exists()).unwrap_or(directory);
    let below = directory.strip_prefix(root).unwrap_or(Path::new(""));
    (root.to_owned(), below.to_string_lossy().into_owned())
}

fn inside(directory: &str) -> Result<String, Failure> {
    crate::model::source_tree::join("", directory).ok_or_else(|| {
        let message = format!("--directory `{directory}` leaves the repository");
        Failure::new(FailureCode::RequestInvalid, message).hint("give a path relative to the repository's root")
    })
}

/// Names that `slipway.toml` states count for local builds.
fn local_settings(directory: &Path) -> Result<ApplicationSettings, Failure> {
    match std::fs::read_to_string(directory.join("slipway.toml")) {
        Ok(text) => crate::plan::local_application("slipway.toml", &text),
        Err(_) => Ok(ApplicationSettings::default()),
    }
}

/// The repository's name, or the directory's, with what no image name may hold replaced.
fn default_name(source: &RequestedSource) -> Result<ApplicationName, Failure> {
    let path_name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let raw = match source {
        RequestedSource::Directory { path, directory, .. } => path_name(&path.join(directory)),
        RequestedSource::Repository(source) if !source.directory.is_empty() => path_name(Path::new(&source.directory)),
        RequestedSource::Repository(source) => Some(source.url.name().to_owned()),
    };
    let raw = raw.unwrap_or_default().to_lowercase();
    let words = raw.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").parse().map_err(|_| {
        Failure::new(FailureCode::RequestInvalid, "the application has no name that an image could have")
            .hint("give one with --name")
    })
}

fn settings(flags: &Common) -> Result<Settings, Failure> {
    let text = flags.set.iter().map(|assignment| match assignment.split_once('=') {
        // A bare word is a string; everything else is TOML.
        Some((key, value)) if toml::from_str::<toml::Table>(&format!("x = {value}")).is_err() => {
            Ok(format!("{key} = {}", toml::Value::String(value.to_owned())))
        }
        Some(_) => Ok(assignment.clone()),
        None => Err(Failure::new(FailureCode::RequestInvalid, format!("--set `{assignment}` has no `=`"))
            .hint("write `--set runtime.ports=[8081]`")),
    });
    let text = text.collect::<Result<Vec<_>, _>>()?.join("\n");
    let mut settings: Settings = toml::from_str(&text).map_err(|error| {
        Failure::new(FailureCode::RequestInvalid, format!("--set: {}", error.message()))
            .hint("the keys are those of `slipway.toml`: `slipway schema settings`")
    })?;
    settings.application.module = flags.module.clone().or(settings.application.module);
    settings.application.process = flags.process.clone().or(settings.application.process);
    settings.image.base = flags.base.clone().or(settings.image.base);
    if let Some(toolchain) = &flags.toolchain {
        let (name, version) =
            toolchain.split_once('@').map_or((toolchain.as_str(), None), |(name, version)| (name, Some(version)));
        settings.toolchain.name = Some(name.to_owned());
        settings.toolchain.version = version.map(str::to_owned).or(settings.toolchain.version);
    }
    Ok(settings)
}

fn invalid(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureCode::RequestInvalid, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(set: &[&str]) -> Common {
        use clap::Parser;
        let mut arguments = vec!["slipway", "plan", "."];
        arguments.extend(set.iter().flat_map(|set| ["--set", set]));
        match super::super::args::Cli::parse_from(arguments).verb {
            super::super::args::Verb::Plan(common) => common,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn set_takes_toml_and_bare_words() {
        let settings =
            settings(&flags(&["runtime.ports=[8081]", "image.base=jre-21", "toolchain.tests=true"])).unwrap();
        assert_eq!(settings.runtime.ports, Some(vec![8081]));
        assert_eq!(settings.image.base.as_deref(), Some("jre-21"));
        assert_eq!(settings.toolchain.tests, Some(true));
    }

    #[test]
    fn an_unknown_key_is_the_requests_fault() {
        let failure = settings(&flags(&["runtime.port=1"])).unwrap_err();
        assert_eq!(failure.code, FailureCode::RequestInvalid);
    }
}
