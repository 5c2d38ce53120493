//! Reading what registries answer: challenges, tokens, bodies and error codes.

use reqwest::Response;
use serde_json::Value;

use super::registry::ready::piece;

/// The most of an answer's body that is read.
const BODY_LIMIT: usize = 64 * 1024;

/// Whether the Engine's words begin with an error code of the distribution specification, as
/// Go's client prints them: then the registry answered, else the connection failed.
pub(super) fn answered(said: &str) -> bool {
    let code = said.split(':').next().unwrap_or_default().trim();
    ["denied", "unauthorized", "unknown", "unsupported", "name unknown", "errors", "error parsing HTTP 4"]
        .iter()
        .any(|known| code.starts_with(known))
        || ["manifest", "blob", "digest", "tag", "size", "repository name"].iter().any(|thing| {
            code.starts_with(thing) && (code.ends_with("invalid") || code.ends_with("unknown") || code.contains("not"))
        })
}

/// The body of an answer, or its beginning.
pub(super) async fn body(mut response: Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = piece(&mut response).await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BODY_LIMIT {
            break;
        }
    }
    bytes
}

/// The messages of an error answer of the distribution specification.
pub(super) fn words_of(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let messages = answer["errors"].as_array().into_iter().flatten().filter_map(|error| error["message"].as_str());
    messages.collect::<Vec<_>>().join("; ")
}

/// The token in a token service's answer (distribution specification, "Token Authentication").
pub(super) fn token_in(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    // Harbor has an empty `access_token` beside its `token`.
    let mut tokens = ["token", "access_token"].iter().filter_map(|key| answer[key].as_str());
    // Anything else can be no part of a header.
    tokens.find(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).map(str::to_owned)
}

pub(super) fn starts_with_word(challenge: &str, word: &str) -> bool {
    challenge.split_whitespace().next().is_some_and(|first| first.eq_ignore_ascii_case(word))
}

/// A quoted parameter of a `WWW-Authenticate` header (RFC 9110, section 11.6.1).
pub(super) fn parameter(challenge: &str, name: &str) -> Option<String> {
    let start = challenge.find(&format!("{name}=\""))? + name.len() + 2;
    let rest = &challenge[start..];
    Some(rest[..rest.find('"')?].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_a_code_are_an_answer() {
        for said in [
            "denied: adding 2.9 MiB of storage resource",
            "unknown: Failed to process request",
            "manifest invalid: manifest invalid",
            "blob upload invalid: x",
        ] {
            assert!(answered(said), "{said}");
        }
        for said in ["Put \"http://x\": EOF", "received unexpected HTTP status: 502 Bad Gateway", ""] {
            assert!(!answered(said), "{said}");
        }
    }

    #[test]
    fn a_challenge_has_parameters() {
        let challenge = "Bearer realm=\"https://a/token\",service=\"b\"";
        assert!(starts_with_word(challenge, "bearer"));
        assert_eq!(parameter(challenge, "realm").as_deref(), Some("https://a/token"));
        assert_eq!(parameter(challenge, "scope"), None);
        assert_eq!(parameter("Bearer realm=\"open", "realm"), None);
    }
}
