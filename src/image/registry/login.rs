//! Logins: what a registry asks for, what its token service grants, and until when.

use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;
use url::Url;

use crate::harbor::{Rights, claims};
use crate::image::answers::{parameter, starts_with_word, token_in};

/// What a token is good for where its service does not say (distribution specification, "Token Authentication").
const LIFE: Duration = Duration::from_mins(1);

/// The service that gives tokens. Harbor names it only to whom shows nothing, so it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenService {
    pub(super) realm: Url,
    pub(super) name: Option<String>,
}

impl TokenService {
    /// The service that a challenge names (RFC 6750, section 3).
    pub(super) fn of(challenge: &str) -> Option<Self> {
        let realm = parameter(challenge, "realm").filter(|_| starts_with_word(challenge, "bearer"))?;
        Some(Self { realm: Url::parse(&realm).ok()?, name: parameter(challenge, "service") })
    }
}

/// A token, as its service gave it.
pub(super) struct Granted {
    token: String,
    life: Duration,
}

impl Granted {
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let life = answer["expires_in"].as_u64().map_or(LIFE, Duration::from_secs);
        token_in(body).map(|token| Self { token, life })
    }

    /// Whether the service gave it to nobody that it knows: Harbor's gives one to everyone.
    pub(super) fn is_a_strangers(&self) -> bool {
        claims(&self.token).as_ref().and_then(Rights::of) == Some(Rights::Stranger)
    }
}

/// What is shown to a registry.
#[derive(Default)]
pub(super) struct Login {
    /// The value of the `Authorization` header.
    pub(super) value: Option<String>,
    pub(super) service: Option<TokenService>,
    /// What a token must allow, each as `repository:NAME:ACTIONS`.
    pub(super) scopes: Vec<String>,
    until: Option<Instant>,
}

impl Login {
    /// One that has shown nothing yet, and needs a token for these.
    pub(super) fn for_scopes(scopes: Vec<String>) -> Self {
        Self { scopes, ..Self::default() }
    }

    /// A token must allow these too; one that was asked for less is over.
    pub(super) fn extend(&mut self, scopes: impl Iterator<Item = String>) {
        let new: Vec<String> = scopes.filter(|scope| !self.scopes.contains(scope)).collect();
        if !new.is_empty() && self.service.is_some() {
            self.until = Some(Instant::now());
        }
        self.scopes.extend(new);
    }

    /// Whether it was a token, and its time is over.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Shows a token from now on.
    pub(super) fn token(&mut self, granted: &Granted, asked: Instant) {
        self.value = Some(format!("Bearer {}", granted.token));
        self.until = asked.checked_add(granted.life);
    }

    /// Shows name and password from now on; false where it does already.
    pub(super) fn basic(&mut self, name: &str, password: &str) -> bool {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        let value = Some(format!("Basic {pair}"));
        let new = self.value != value;
        (self.value, self.until) = (value, None);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_over_that_was_asked_for_less_than_is_needed() {
        let granted = Granted::of(br#"{"token":"a","expires_in":1800}"#).unwrap();
        let service = TokenService::of(r#"Bearer realm="https://auth.example.com/token""#);
        let mut login = Login { service, ..Login::for_scopes(vec!["repository:a:pull".into()]) };
        login.token(&granted, Instant::now());
        login.extend(["repository:a:pull".to_owned()].into_iter());
        assert!(!login.is_over());
        login.extend(["repository:a:pull".to_owned(), "repository:b:pull".to_owned()].into_iter());
        assert!(login.is_over());
        assert_eq!(login.scopes, ["repository:a:pull", "repository:b:pull"]);
        login.token(&granted, Instant::now());
        assert!(!login.is_over());
    }

    #[test]
    fn a_token_is_over_when_its_service_says() {
        let mut login = Login::default();
        assert!(!login.is_over());
        let now = Instant::now();
        login.token(&Granted::of(br#"{"token":"a","expires_in":1800}"#).unwrap(), now);
        assert!(!login.is_over());
        login.token(&Granted::of(br#"{"token":"a","expires_in":0}"#).unwrap(), now);
        assert!(login.is_over());
        login.basic("robot", "secret");
        assert!(!login.is_over());
    }

    #[test]
    fn only_a_bearers_challenge_names_a_service() {
        let service = TokenService::of("Bearer realm=\"https://a/service/token\",service=\"harbor-registry\"").unwrap();
        assert_eq!(
            (service.realm.as_str(), service.name.as_deref()),
            ("https://a/service/token", Some("harbor-registry"))
        );
        assert_eq!(TokenService::of("Basic realm=\"harbor\""), None);
        assert_eq!(TokenService::of(""), None);
    }
}
