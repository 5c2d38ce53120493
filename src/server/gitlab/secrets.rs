//! Whether a webhook comes from GitLab: its secret token, or its signature.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::config::Config;
use crate::model::failure::Failure;

/// How long secrets are remembered: a new one counts after this time at the latest.
const REMEMBERED: Duration = Duration::from_secs(5);

/// How old or new a signed delivery may be (Standard Webhooks, "Verifying timestamps").
const TOLERANCE: u64 = 300;

/// Secrets by product line and name.
#[derive(Default)]
pub(super) struct Secrets {
    known: Mutex<Vec<(String, String, Instant)>>,
}

impl Secrets {
    /// The secret of a name.
    ///
    /// # Errors
    /// `configuration_invalid` where the operator has none of that name.
    pub(super) async fn of(&self, config: &Config, name: &str, product_line: &str) -> Result<String, Failure> {
        // Who may have it depends on the product line, so that is part of what is remembered.
        let key = format!("{product_line}/{name}");
        let fresh = |entry: &&(String, String, Instant)| entry.0 == key && entry.2.elapsed() < REMEMBERED;
        if let Some((_, secret, _)) = self.lock().iter().find(fresh) {
            return Ok(secret.clone());
        }
        let secret = crate::secrets::proof(config, name, product_line).await?;
        let mut known = self.lock();
        known.retain(|entry| entry.0 != key);
        known.push((key, secret.clone(), Instant::now()));
        Ok(secret)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, String, Instant)>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Which of these secrets a delivery shows that its sender knows. All are looked at, in the same time whichever fits.
pub(super) fn shown(secrets: &[String], headers: &HeaderMap, body: &[u8], now: u64) -> Vec<bool> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = Signed {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
        body,
    };
    // What is signed counts by its signature alone: a token beside it would let anyone who saw one forge the other.
    if !signed.signature.is_empty() {
        let fresh = signed.timestamp.parse::<u64>().is_ok_and(|at| at.abs_diff(now) <= TOLERANCE);
        return secrets.iter().map(|secret| fresh && bool::from(signed.by(secret))).collect();
    }
    let token = Sha256::digest(text("x-gitlab-token"));
    secrets.iter().map(|secret| !secret.is_empty() && bool::from(Sha256::digest(secret).ct_eq(&token))).collect()
}

/// A delivery with a signature (Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`).
struct Signed<'a> {
    id: &'a str,
    timestamp: &'a str,
    signature: &'a str,
    body: &'a [u8],
}

impl Signed<'_> {
    fn by(&self, secret: &str) -> Choice {
        let key = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let key = key.unwrap_or_else(|| secret.as_bytes().to_vec());
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return Choice::from(0) };
        for part in [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", self.body] {
            mac.update(part);
        }
        let expected = mac.finalize().into_bytes();
        let given = self.signature.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
        let any = given.fold(Choice::from(0), |any, one| any | expected.as_slice().ct_eq(&one));
        if key.is_empty() { Choice::from(0) } else { any }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn two_tokens_count_at_once_and_nothing_else() {
        let secrets = ["old".to_owned(), "new".to_owned(), String::new()];
        let of = |token: &str| shown(&secrets, &headers(&[("x-gitlab-token", token)]), b"{}", 0);
        assert_eq!(of("old"), [true, false, false]);
        assert_eq!(of("new"), [false, true, false]);
        assert_eq!(of("newer"), [false, false, false]);
        assert_eq!(shown(&secrets, &HeaderMap::new(), b"{}", 0), [false, false, false]);
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_signature_counts_while_it_is_fresh() {
        let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()];
        let body = br#"{"test": 2432232314}"#;
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let of = |signature: &str, body: &[u8], now| {
            let pairs = [
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", signature),
                ("x-gitlab-token", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ];
            shown(&secrets, &headers(&pairs), body, now)[0]
        };
        assert!(of(signature, body, 1_614_265_330));
        assert!(of(&format!("v1,AAAA v1a,x {signature}"), body, 1_614_265_600));
        assert!(!of(signature, body, 1_614_266_000), "it is old");
        assert!(!of(signature, b"{}", 1_614_265_330), "the body is another");
        assert!(!of("v1,", body, 1_614_265_330));
    }
}
