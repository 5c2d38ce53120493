//! The operator's certificate authorities in every form that tools need: PEM, and PKCS#12 for Java.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry};
use sha2::{Digest as _, Sha256};

use crate::model::command::FileMount;
use crate::model::failure::{Failure, FailureCode};

/// Where commands see the PEM bundle.
const PEM: &str = "/slipway/ca/ca-certificates.crt";
/// Where commands see the Java trust store.
const PKCS12: &str = "/slipway/ca/truststore.p12";
/// Java's own default; the store holds nothing secret.
const PASSWORD: &str = "changeit";

/// The variables by which tools are told of a PEM bundle: OpenSSL and Go, requests, pip, curl, Git, Node.
const VARIABLES: &[&str] =
    &["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"];

/// A bundle of certificate authorities, ready to be mounted.
#[derive(Debug, Clone)]
pub struct Trust {
    pem: PathBuf,
    pkcs12: PathBuf,
}

impl Trust {
    /// Reads a PEM bundle and writes the Java trust store beside the other cached files.
    ///
    /// # Errors
    /// `configuration_invalid` where the bundle cannot be read or holds no certificate.
    pub fn prepare(bundle: &Path, directory: &Path) -> Result<Self, Failure> {
        let invalid = |why: String| {
            let message = format!("the CA bundle `{}` cannot be used: {why}", bundle.display());
            Failure::new(FailureCode::ConfigurationInvalid, message).hint("correct `network.ca_bundle`")
        };
        let text = std::fs::read_to_string(bundle).map_err(|error| invalid(error.to_string()))?;
        let directory = directory.join(hex::encode(Sha256::digest(text.as_bytes())));
        let trust = Self { pem: directory.join("ca-certificates.crt"), pkcs12: directory.join("truststore.p12") };
        // Written last, so its presence says that both are whole.
        if trust.pem.is_file() {
            return Ok(trust);
        }
        let (mut store, mut pem) = (KeyStore::new(), String::new());
        for (index, der) in certificates(&text).enumerate() {
            // A bundle may hold keys beside its certificates; commands see none.
            pem.push_str(&encoded(&der));
            // One authority in an odd encoding must not stop every build.
            match Certificate::from_der(&der) {
                Ok(certificate) => store.add_entry(&format!("ca-{index}"), KeyStoreEntry::Certificate(certificate)),
                Err(error) => {
                    tracing::warn!(certificate = index + 1, %error, "a certificate of the CA bundle is left out");
                }
            }
        }
        if store.entries_count() == 0 {
            return Err(invalid("it holds no certificate".to_owned()));
        }
        let bytes = store.writer(PASSWORD).write().map_err(|error| invalid(error.to_string()))?;
        let place = |path: &Path, bytes: &[u8]| -> std::io::Result<()> {
            std::fs::create_dir_all(&directory)?;
            let mut file = tempfile::NamedTempFile::new_in(&directory)?;
            file.write_all(bytes)?;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
            file.persist(path)?;
            Ok(())
        };
        let written = place(&trust.pkcs12, &bytes).and_then(|()| place(&trust.pem, pem.as_bytes()));
        written.map_err(|error| {
            Failure::new(FailureCode::Internal, format!("`{}` cannot be written: {error}", directory.display()))
        })?;
        Ok(trust)
    }

    /// The files that a command sees.
    #[must_use]
    pub fn files(&self) -> Vec<FileMount> {
        let mount =
            |source: &Path, target: &str| FileMount { source: source.to_owned(), target: PathBuf::from(target) };
        vec![mount(&self.pem, PEM), mount(&self.pkcs12, PKCS12)]
    }

    /// The variables that point tools to them.
    #[must_use]
    pub fn env() -> BTreeMap<String, String> {
        VARIABLES.iter().map(|name| ((*name).to_owned(), PEM.to_owned())).collect()
    }
}

/// A certificate as PEM text (RFC 7468).
fn encoded(der: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The DER bytes of every certificate of a PEM text (RFC 7468).
fn certificates(pem: &str) -> impl Iterator<Item = Vec<u8>> {
    pem.split("-----BEGIN CERTIFICATE-----").skip(1).filter_map(|rest| {
        let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
        let joined: String = body.split_ascii_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(joined).ok()
    })
}
