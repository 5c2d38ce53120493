//! The HTTP client for registries: ring's TLS, the operator's authorities, no cookies and no redirects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::RETRY_AFTER;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use self::trust::Trust;
use crate::clock;
pub use crate::config::ClientCertificate;
use crate::model::failure::{Failure, FailureCode};

mod trust;

/// How long a registry may take to accept a connection, and between two pieces of an answer.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How Slipway names itself.
pub const USER_AGENT: &str = concat!("slipway/", env!("CARGO_PKG_VERSION"));

/// How long what the system trusts is not read again: each reading is some hundred files, and a build makes several
/// clients.
const REMEMBERED: Duration = Duration::from_mins(1);

/// A client that trusts these certificates (PEM) beside the system's, and shows this one where it is asked for one. A
/// login must follow nobody elsewhere, and Harbor takes a client that keeps its cookies for a browser.
///
/// # Errors
/// `configuration_invalid` where the certificates cannot be read.
pub fn client(ca_bundle: Option<&[u8]>, shown: Option<&ClientCertificate>) -> Result<reqwest::Client, Failure> {
    builder(ca_bundle, shown)?.timeout(TIMEOUT).build().map_err(|error| unusable(&error))
}

/// What [`client`] is made of, without a limit for the whole of an exchange.
///
/// # Errors
/// As [`client`].
pub fn builder(ca_bundle: Option<&[u8]>, shown: Option<&ClientCertificate>) -> Result<reqwest::ClientBuilder, Failure> {
    install_tls();
    let builder = reqwest::Client::builder()
        .connect_timeout(TIMEOUT)
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none());
    let Some(shown) = shown else {
        return Ok(builder.tls_backend_preconfigured(trusting(ca_bundle.unwrap_or_default())?));
    };
    let certificates = ca_bundle.map(certificates).transpose().map_err(|error| unusable(&error))?;
    Ok(builder.tls_certs_merge(certificates.unwrap_or_default()).identity(identity(shown)?))
}

/// TLS as for any client without a certificate of its own: the system's authorities are trusted, and these.
fn trusting(bundle: &[u8]) -> Result<ClientConfig, Failure> {
    static KNOWN: Mutex<BTreeMap<Vec<u8>, (Instant, ClientConfig)>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|_, (read, _)| read.elapsed() < REMEMBERED);
    if let Some((_, config)) = known.get(bundle) {
        return Ok(config.clone());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = Trust::with(ders(bundle)?, Arc::clone(&provider)).map_err(|error| unusable(&error))?;
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.map_err(|error| unusable(&error))?.dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth();
    known.insert(bundle.to_owned(), (Instant::now(), config.clone()));
    Ok(config)
}

/// The certificates of a PEM bundle in the form that TLS takes.
fn ders(bundle: &[u8]) -> Result<Vec<CertificateDer<'static>>, Failure> {
    certificate_texts(bundle)
        .iter()
        .map(|text| CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| unusable(&error)))
        .collect()
}

/// What says that the certificates of a client are of no use.
pub fn unusable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureCode::ConfigurationInvalid, format!("The certificates cannot be used: {error}."))
        .hint("Correct `network.ca_bundle`; and `registry.client_certificates`, where the key has to be that of the certificate.")
}

fn identity(shown: &ClientCertificate) -> Result<reqwest::Identity, Failure> {
    let (certificate, key) = (shown.certificate.display(), shown.key.display());
    let invalid = |message: String| {
        Failure::new(FailureCode::ConfigurationInvalid, message).hint("Correct `registry.client_certificates`.")
    };
    let mut text = Vec::new();
    for file in [&shown.certificate, &shown.key] {
        let unreadable = |error| invalid(format!("`{}` cannot be read: {error}.", file.display()));
        text.extend(std::fs::read(file).map_err(unreadable)?);
        text.push(b'\n');
    }
    // The error's own text might show what it stumbled over.
    reqwest::Identity::from_pem(&text).map_err(|_| {
        invalid(format!("`{certificate}` and `{key}` hold no certificate and its private key in PEM, unencrypted."))
    })
}

/// The certificates of a PEM bundle; what else it holds, such as a key, is nobody's business.
///
/// # Errors
/// Where a certificate cannot be read.
pub fn certificates(bundle: &[u8]) -> Result<Vec<reqwest::Certificate>, reqwest::Error> {
    certificate_texts(bundle).iter().map(|text| reqwest::Certificate::from_pem(text.as_bytes())).collect()
}

/// The certificates of a PEM bundle, each as its own text (RFC 7468, section 5.1).
#[must_use]
pub fn certificate_texts(bundle: &[u8]) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    String::from_utf8_lossy(bundle)
        .split_inclusive(END)
        .filter(|part| part.ends_with(END))
        .filter_map(|part| part.find("-----BEGIN CERTIFICATE-----").map(|start| part[start..].to_owned()))
        .collect()
}

/// The process's TLS is ring's; whoever comes second finds it installed.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Why a request had no answer, without the URL that a reader may not see.
#[must_use]
pub fn reason(error: reqwest::Error) -> String {
    let text = error.without_url().to_string();
    if text.is_empty() { "no connection".to_owned() } else { text }
}

/// How long an answer wants to be waited for (RFC 9110, section 10.2.3): seconds, or until a date.
#[must_use]
pub fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    after(answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim())
}

fn after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::from_secs(u64::try_from(date.as_second()).ok()?).saturating_sub(clock::since_epoch()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_read_one_by_one_and_keys_are_left() {
        let one = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\n%%\n-----END PRIVATE KEY-----\n";
        let texts = certificate_texts(
            format!("{key}# first\n{one}\n# second\n{one}-----BEGIN CERTIFICATE-----\nAA").as_bytes(),
        );
        assert_eq!(texts, [one.trim_end(), one.trim_end()]);
        assert!(client(Some(key.as_bytes()), None).is_ok());
        assert!(client(Some(one.as_bytes()), None).is_err());
        assert!(client(Some(one.as_bytes()), None).is_err(), "it is not remembered");
    }

    #[test]
    fn an_answer_says_how_long_to_wait_or_until_when() {
        assert_eq!(after("120"), Some(Duration::from_mins(2)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO), "it is over");
        let far = after("Fri, 31 Dec 2077 23:59:59 GMT").unwrap();
        assert!(far > Duration::from_hours(365 * 24), "{far:?}");
        assert_eq!(after("soon"), None);
    }
}
