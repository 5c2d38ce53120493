//! The catalogue that a command works with: the program's own, the operator's over it, and the base images that there are.

use crate::catalog::{self, Catalog, Operator, OwnDockerfiles};
use crate::cli::args::Cli;
use crate::cli::base_images;
use crate::config::Config;
use crate::model::failure::{Failure, FailureCode};
use crate::model::request::RequestedSource;

use super::ca_bundle;

/// The catalogue: what the program brings along, overlaid by the operator's directory; for anyone's builds.
pub(in crate::cli) fn catalog(cli: &Cli, config: &Config) -> Result<Catalog, Failure> {
    catalog_with(cli, config, OwnDockerfiles::default())
}

/// Whose own Dockerfiles are built where no operator says it: a person's, of their own directory, on their own machine.
/// A repository may hold anyone's.
pub(super) fn own_dockerfiles(cli: &Cli, source: &RequestedSource) -> OwnDockerfiles {
    let own = matches!(source, RequestedSource::Directory { .. });
    OwnDockerfiles::Switch(own && Config::file(cli.config.as_deref()).is_none())
}

pub(super) fn catalog_with(cli: &Cli, config: &Config, otherwise: OwnDockerfiles) -> Result<Catalog, Failure> {
    let operator = Operator {
        registry: config.registry.host.clone(),
        defaults: config.defaults.clone(),
        image_mirrors: config.mirrors.images.clone(),
        mirrors: config.mirrors.for_templates(),
        ca_bundle: ca_bundle(config).is_some(),
        own_dockerfiles: config.build.own_dockerfiles.clone().unwrap_or(otherwise),
        own_dockerfile_bases: config.build.own_dockerfile_bases.clone(),
        memory: Some(config.limits.memory),
    };
    let mut catalog = Catalog::from_files(&files(cli, config)?, operator)?;
    for (name, locked) in base_images::lock(config)?.images {
        if let Some(image) = catalog.base_images.get_mut(&name) {
            image.digest =
                locked.digest.as_ref().and_then(|digest| digest.rsplit_once('@').map(|(_, digest)| digest.to_owned()));
            // What a registry has, any machine can pull; what was only built is on this one.
            image.reference = locked.digest.unwrap_or(locked.reference);
        }
    }
    Ok(catalog)
}

/// The catalogue's files.
pub(in crate::cli) fn files(cli: &Cli, config: &Config) -> Result<catalog::Files, Failure> {
    let mut files = catalog::embedded();
    if let Some(directory) = cli.catalog.as_ref().or(config.build.catalog.as_ref()) {
        overlay(&mut files, directory)?;
    }
    Ok(files)
}

fn overlay(files: &mut catalog::Files, directory: &std::path::Path) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new(
            FailureCode::ConfigurationInvalid,
            format!("the catalogue `{}` cannot be read: {error}", directory.display()),
        )
        .hint("name a directory that is there: `--catalog DIR`, or `build.catalog` in the configuration")
    };
    if !directory.is_dir() {
        return Err(unreadable(&"it is no directory"));
    }
    for entry in ignore::WalkBuilder::new(directory).standard_filters(false).build() {
        let entry = entry.map_err(|error| unreadable(&error))?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            let bytes = std::fs::read(entry.path()).map_err(|error| unreadable(&error))?;
            if let Some(path) = entry.path().strip_prefix(directory).ok().and_then(std::path::Path::to_str) {
                files.insert(path.to_owned(), bytes);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn without_a_configuration_only_ones_own_directory_builds_its_dockerfile() {
        let cli = Cli::parse_from(["slipway", "plan", "."]);
        let config = Config::default();
        let directory = RequestedSource::Directory { path: ".".into(), url: None, directory: String::new() };
        let url = "https://git.example.com/x.git".parse().unwrap();
        let repository = crate::model::source::Source { url, revision: None, commit: None, directory: String::new() };
        let repository = RequestedSource::Repository(repository);
        let allowed = |otherwise| {
            let catalog = catalog_with(&cli, &config, otherwise).unwrap();
            catalog.operator.own_dockerfiles.allow("local")
        };
        assert!(allowed(own_dockerfiles(&cli, &directory)));
        assert!(!allowed(own_dockerfiles(&cli, &repository)));
        let configured = Cli::parse_from(["slipway", "--config", "config.toml", "plan", "."]);
        assert!(!allowed(own_dockerfiles(&configured, &directory)));
        // What worker and server use.
        assert!(!catalog(&cli, &config).unwrap().operator.own_dockerfiles.allow("local"));
    }
}
