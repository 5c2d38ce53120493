//! The HTTP client for registries: ring's TLS, the operator's authorities, no cookies and no redirects.

use std::time::Duration;

use crate::model::failure::{Failure, FailureCode};

/// How long a registry may take to accept a connection, and between two pieces of an answer.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How Slipway names itself.
pub const USER_AGENT: &str = concat!("slipway/", env!("CARGO_PKG_VERSION"));

/// A client that trusts these certificates (PEM) beside the system's. A login must follow nobody elsewhere, and Harbor
/// takes a client that keeps its cookies for a browser.
///
/// # Errors
/// `configuration_invalid` where the certificates cannot be read.
pub fn client(ca_bundle: Option<&[u8]>) -> Result<reqwest::Client, Failure> {
    install_tls();
    let invalid = |error: reqwest::Error| {
        Failure::new(FailureCode::ConfigurationInvalid, format!("The certificates cannot be used: {error}."))
            .hint("Correct `network.ca_bundle`.")
    };
    let mut builder = reqwest::Client::builder()
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT)
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(bundle) = ca_bundle {
        builder = builder.tls_certs_merge(certificates(bundle).map_err(invalid)?);
    }
    builder.build().map_err(invalid)
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
        assert!(client(Some(key.as_bytes())).is_ok());
        assert!(client(Some(one.as_bytes())).is_err());
    }
}
