//! The build context of a base image: its folder, the shared scripts, and what the host lends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::apt::{Mirrors, acquire_settings};
use super::definition::{Images, RootOrigin};
use crate::model::failure::{Failure, FailureCode};

/// The folder of scripts that every `Dockerfile` may use.
const SHARED: &str = "shared";

/// One time for every entry, so that an unchanged context is an unchanged context.
const TIME: u64 = 315_532_800;

/// What the host lends to the build of a base image. None of it stays in the image.
#[derive(Debug, Clone)]
pub struct Host {
    /// The directory of the host's apt settings.
    pub apt: PathBuf,
    /// The mirror of Debian to use; none is the one that the host's sources name.
    pub mirror: Option<String>,
    /// The CA bundle (PEM) that the host trusts.
    pub ca_bundle: Option<PathBuf>,
    /// Maven's `settings.xml`, when its repository is reached through a mirror.
    pub maven_settings: Option<PathBuf>,
    /// `http_proxy` and the like, by name.
    pub proxies: BTreeMap<String, String>,
}

impl Default for Host {
    fn default() -> Self {
        let bundle = PathBuf::from("/etc/ssl/certs/ca-certificates.crt");
        Self {
            apt: PathBuf::from("/etc/apt"),
            mirror: None,
            ca_bundle: bundle.is_file().then_some(bundle),
            maven_settings: None,
            proxies: BTreeMap::new(),
        }
    }
}

impl Host {
    /// The mirrors that debootstrap and apt use.
    pub(super) fn mirrors(&self) -> Mirrors {
        Mirrors::of_host(&self.apt, self.mirror.as_deref())
    }

    /// The files that builds see below `/run/build/host`, by path in the context.
    fn files(&self, images: &Images) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let mut files = BTreeMap::new();
        let mut conf = acquire_settings(&self.apt);
        // The index of a suite that is in development, or past its end, may have outlived its date.
        conf.push_str("Acquire::Check-Valid-Until \"false\";\nAcquire::Languages \"none\";\n");
        if let Some(bundle) = &self.ca_bundle {
            files.insert("host/ca-certificates.crt".to_owned(), read(bundle)?);
            conf.push_str("Acquire::https::CAInfo \"/run/build/host/ca-certificates.crt\";\n");
        }
        if let Some(settings) = &self.maven_settings {
            files.insert("host/settings.xml".to_owned(), read(settings)?);
        }
        files.insert("host/apt.conf".to_owned(), conf.into_bytes());
        let mirrors = self.mirrors();
        for root in images.roots.values() {
            if let RootOrigin::Suite(suite) = root.origin() {
                files.insert(format!("host/sources/{suite}.list"), mirrors.list(suite).into_bytes());
            }
        }
        Ok(files)
    }
}

/// The context of the images that are built from `folder`, as a tar archive.
///
/// # Errors
///
/// [`FailureCode::ConfigurationInvalid`] when a file of the host's cannot be read.
pub(super) fn tar(images: &Images, folder: &str, host: &Host) -> Result<Vec<u8>, Failure> {
    let mut files: BTreeMap<String, Vec<u8>> = own_files(images, folder).map(|(p, b)| (p.clone(), b.clone())).collect();
    let uses = |name: &[u8]| files.values().any(|text| text.windows(name.len()).any(|window| window == name));
    let uses_settings = uses(b"settings.xml");
    for (path, bytes) in host.files(images)? {
        // Settings may hold a password: only who needs them sees them.
        if path != "host/settings.xml" || uses_settings {
            files.insert(path, bytes);
        }
    }
    write(&files).map_err(|error| Failure::new(FailureCode::Internal, format!("writing the build context: {error}")))
}

/// The files of `base-images/` that go into images of `folder`.
pub(super) fn own_files<'a>(images: &'a Images, folder: &str) -> impl Iterator<Item = (&'a String, &'a Vec<u8>)> {
    images.below(folder).chain(images.below(SHARED))
}

fn write(files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // Embedded files have no mode; a script says by its first line that it is one.
        header.set_mode(if bytes.starts_with(b"#!") { 0o755 } else { 0o644 });
        header.set_mtime(TIME);
        archive.append_data(&mut header, path, bytes.as_slice())?;
    }
    archive.into_inner()
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(FailureCode::ConfigurationInvalid, format!("`{}` cannot be read: {error}", path.display()))
            .hint("Correct the path in the operator's configuration.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &str, host: &Host) -> BTreeMap<String, u32> {
        let images = Images::parse(super::super::tests::own_files()).unwrap();
        let bytes = tar(&images, folder, host).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
        });
        entries.collect()
    }

    #[test]
    fn the_context_holds_the_folder_the_scripts_and_the_hosts_settings() {
        let entries = entries("jre", &Host { ca_bundle: None, ..Host::default() });
        assert_eq!(entries["jre/link"], 0o755);
        assert_eq!(entries["jre/Dockerfile"], 0o644);
        assert_eq!(entries["shared/apt-install"], 0o755);
        assert!(entries.contains_key("host/apt.conf"));
        assert!(entries.contains_key("host/sources/trixie.list"));
        assert!(!entries.keys().any(|path| path.starts_with("python")));
    }

    #[test]
    fn only_the_image_that_uses_maven_settings_sees_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let host = Host { maven_settings: Some(file.path().to_owned()), ..Host::default() };
        assert!(entries("maven", &host).contains_key("host/settings.xml"));
        assert!(!entries("python", &host).contains_key("host/settings.xml"));
    }

    #[test]
    fn a_missing_file_of_the_hosts_is_named() {
        let images = Images::parse(super::super::tests::own_files()).unwrap();
        let host = Host { ca_bundle: Some("/nowhere/ca.pem".into()), ..Host::default() };
        assert!(tar(&images, "jre", &host).unwrap_err().message.contains("/nowhere/ca.pem"));
    }
}
