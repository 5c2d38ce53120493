//! Signatures of bundles: Ed25519 (RFC 8032) over the sums, which name the digest of everything else.

use std::path::Path;

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use crate::model::failure::{Failure, FailureCode};

/// What a public key's DER begins with: the algorithm `id-Ed25519` and the key's length (RFC 8410, section 4).
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Who signs bundles.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads a private key: PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// `request_invalid` where the file holds none.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = read(path)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&text).ok();
        // OpenSSL leaves the public half out, which is allowed.
        let pair = key.and_then(|key| Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).ok());
        pair.map(Self).ok_or_else(|| {
            unreadable(path, "it holds no Ed25519 key in PKCS#8 (`-----BEGIN PRIVATE KEY-----`)")
                .hint("make one: `openssl genpkey -algorithm ed25519 -out bundle.key`")
        })
    }

    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }
}

/// Whose bundles are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey(Vec<u8>);

impl TrustedKey {
    /// Reads a public key in PEM, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// `request_invalid` where the file holds none.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = read(path)?;
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&text).ok();
        let key = key.and_then(|key| key.strip_prefix(&PREFIX).filter(|key| key.len() == 32).map(<[u8]>::to_vec));
        key.map(Self).ok_or_else(|| {
            unreadable(path, "it holds no public Ed25519 key (`-----BEGIN PUBLIC KEY-----`)")
                .hint("take the public half: `openssl pkey -in bundle.key -pubout -out bundle.pub`")
        })
    }

    pub(super) fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(text, signature).is_ok()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| unreadable(path, &error.to_string()))
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(FailureCode::RequestInvalid, format!("the key `{}` cannot be used: {why}", path.display()))
}
