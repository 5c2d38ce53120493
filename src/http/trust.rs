//! Whom TLS believes: the system's authorities, read when the first server shows its certificate, and the operator's.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// The system's authorities are some hundred files, a tenth of the time of the smallest build: whoever talks to a
/// registry without TLS, or to none, does not read them, and needs none on the machine.
#[derive(Debug)]
pub(super) struct Trust {
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, Error>>,
}

impl Trust {
    /// Whom the system trusts, and these certificates.
    ///
    /// # Errors
    /// Where one of these certificates cannot be an authority.
    pub(super) fn with(extra: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let mut alone = RootCertStore::empty();
        extra.iter().try_for_each(|certificate| alone.add(certificate.clone()))?;
        Ok(Self { extra, provider, verifier: OnceLock::new() })
    }

    fn verifier(&self) -> Result<&Verifier, Error> {
        let read = || Verifier::new_with_extra_roots(self.extra.iter().cloned(), Arc::clone(&self.provider));
        self.verifier.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_authorities_wait_for_the_first_server() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = Trust::with(Vec::new(), Arc::clone(&provider)).unwrap();
        assert!(!trust.supported_verify_schemes().is_empty());
        assert!(trust.verifier.get().is_none(), "nobody has shown a certificate");
        let nonsense = CertificateDer::from(vec![0]);
        let name = ServerName::try_from("registry.example").unwrap();
        assert!(trust.verify_server_cert(&nonsense, &[], &name, &[], UnixTime::now()).is_err());
        assert!(trust.verifier.get().is_some());
        assert!(Trust::with(vec![nonsense], provider).is_err(), "what the operator names is read at once");
    }
}
