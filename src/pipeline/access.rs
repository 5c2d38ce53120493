//! How registries are reached: which account is shown to which of them, and whose certificates are trusted there.

use std::collections::{BTreeMap, BTreeSet};

use super::Services;
use crate::config::{Config, CopyConfig, CredentialsConfig};
use crate::harbor::Client;
use crate::image::credentials::{Credentials, of_docker};
use crate::image::{Reach, RegistryAccess};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

/// How well credentials fit a registry and a product line; the best comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The configuration names them for the registry.
    Named,
    /// They list the registry, and the product line by its name.
    Own,
    /// They list the registry, and are everybody's.
    Everybodys,
}

/// What the configuration says of all registries.
#[must_use]
pub fn reach(config: &Config) -> Reach {
    Reach { connections: config.registry.connections, hosts: config.hosts() }
}

impl Services {
    /// How the registry that images are pushed to is reached for a product line.
    ///
    /// # Errors
    /// `configuration_invalid` where the credentials cannot be had.
    pub(super) async fn registry_access(&self, product_line: &str) -> Result<RegistryAccess, Failure> {
        self.access(self.config.registry.host.as_deref().unwrap_or_default(), product_line).await
    }

    /// How a registry is reached for a product line: the one that is pushed to, one of the copies, or any other.
    ///
    /// # Errors
    /// `configuration_invalid` where credentials or certificates cannot be had.
    pub(super) async fn access(&self, host: &str, product_line: &str) -> Result<RegistryAccess, Failure> {
        let credentials = match self.credentials(host, product_line) {
            Some(name) => Some(self.account(name, host, product_line).await?),
            None => None,
        };
        Ok(RegistryAccess { credentials, ..self.access_of_nobody(host, product_line).await? })
    }

    /// How a registry is reached, without an account.
    ///
    /// # Errors
    /// `configuration_invalid` where the certificates of a copy cannot be read.
    pub(super) async fn access_of_nobody(&self, host: &str, product_line: &str) -> Result<RegistryAccess, Failure> {
        let own = self.copy_at(host, product_line).and_then(|copy| copy.ca_bundle.as_ref());
        let ca_bundle = match (own, &self.config.network.ca_bundle) {
            (Some(path), _) => Some(tokio::fs::read(path).await.map_err(|error| {
                let message = format!("the certificates `{}` cannot be read: {error}", path.display());
                Failure::new(FailureCode::ConfigurationInvalid, message).hint("correct `registry.copies`")
            })?),
            (None, Some(path)) => tokio::fs::read(path).await.ok(),
            (None, None) => None,
        };
        let client_certificates = self.config.registry.client_certificates.clone();
        Ok(RegistryAccess { ca_bundle, client_certificates, reach: reach(&self.config), ..RegistryAccess::default() })
    }

    /// What the images are pulled with, by registry: the operator's credentials for that host, else Docker's own.
    pub(super) async fn pull_credentials(
        &self,
        images: &[String],
        product_line: &str,
    ) -> Result<BTreeMap<String, Credentials>, Failure> {
        let mut found = BTreeMap::new();
        let references = images.iter().filter_map(|image| ImageReference::familiar(image).ok());
        let registries: BTreeSet<String> = references.map(|reference| reference.registry().to_owned()).collect();
        for registry in registries {
            let known = match self.fitting(&registry, product_line) {
                Some((_, name)) => Some(self.account(name, &registry, product_line).await?),
                None => of_docker(&registry).await?,
            };
            found.extend(known.map(|known| (registry, known)));
        }
        Ok(found)
    }

    /// The API of the registry, with the account that images are pushed with, or with none; `None` for an account that it
    /// cannot know.
    pub(super) async fn harbor(
        &self,
        reference: &ImageReference,
        product_line: &str,
    ) -> Result<Option<Client>, Failure> {
        let (access, known) = self.known(reference, product_line).await?;
        match known {
            Some(Credentials::IdentityToken(_)) => Ok(None),
            known => access.harbor(reference, known.as_ref()).map(Some),
        }
    }

    /// The API of the registry of an image.
    pub(super) async fn client_of(&self, reference: &ImageReference) -> Result<Client, Failure> {
        let (access, known) = self.known(reference, super::registry::project_of(reference)).await?;
        access.harbor(reference, known.as_ref())
    }

    /// How the registry of an image is reached, and the account for it, which may be Docker's own.
    async fn known(
        &self,
        reference: &ImageReference,
        product_line: &str,
    ) -> Result<(RegistryAccess, Option<Credentials>), Failure> {
        let access = self.access(reference.registry(), product_line).await?;
        let known = match access.credentials.clone() {
            Some(known) => Some(known),
            None => of_docker(reference.registry()).await?,
        };
        Ok((access, known))
    }

    async fn account(&self, name: &str, host: &str, product_line: &str) -> Result<Credentials, Failure> {
        let account = crate::secrets::account(&self.config, name, host, product_line).await?;
        Ok(Credentials::password(account.username, account.password))
    }

    /// The name of the credentials that a registry is shown; those that are named for it also where they do not fit, since
    /// their refusal says what is missing.
    fn credentials(&self, host: &str, product_line: &str) -> Option<&str> {
        let named = self.named(host, product_line);
        let pushed_to = self.config.registry.host.as_deref() == Some(host);
        match self.fitting(host, product_line) {
            // Everybody's may be an administrator's: nobody said that images are pushed with them.
            Some((Fit::Everybodys, _)) if pushed_to || named.is_some() => named,
            Some((_, name)) => Some(name),
            None => named,
        }
    }

    /// The credentials that fit best.
    fn fitting(&self, host: &str, product_line: &str) -> Option<(Fit, &str)> {
        let named = self.named(host, product_line);
        let fit = |name: &str, entry: &CredentialsConfig| {
            let lists = |line: &str| entry.product_lines.iter().any(|allowed| allowed == line);
            if entry.password.is_none() || !entry.hosts.iter().any(|known| known == host) {
                return None;
            }
            match (lists(product_line), lists("*")) {
                (false, false) => None,
                _ if named == Some(name) => Some(Fit::Named),
                (true, _) => Some(Fit::Own),
                (false, true) => Some(Fit::Everybodys),
            }
        };
        let all = self.config.credentials.iter();
        all.filter_map(|(name, entry)| fit(name, entry).map(|fit| (fit, name.as_str()))).min()
    }

    /// The credentials that the configuration names for a registry.
    fn named(&self, host: &str, product_line: &str) -> Option<&str> {
        let registry = &self.config.registry;
        if registry.host.as_deref().unwrap_or_default() == host {
            return registry.credentials.as_deref();
        }
        self.copy_at(host, product_line)?.credentials.as_deref()
    }

    /// The registry that images are copied to, first as it is for the product line.
    fn copy_at(&self, host: &str, product_line: &str) -> Option<&CopyConfig> {
        let copies = || self.config.registry.copies.iter().filter(|copy| copy.host == host);
        copies().find(|copy| copy.is_of(product_line)).or_else(|| copies().next())
    }
}
