//! `/service/token`: a token for anybody who names a scope.

use std::collections::BTreeMap;
use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};

use super::answer::{Answer, empty, encoded_json, text};
use super::server::Call;
use super::state::{State, Token};
use super::who::Who;

pub(super) fn answer(state: &mut State, call: &Call) -> Answer {
    if call.method != "GET" {
        return text(405, "text/plain; charset=utf-8", "Method Not Allowed\n".to_owned());
    }
    let service = call.query("service").unwrap_or_default();
    if service != "harbor-registry" {
        return text(400, "text/plain; charset=utf-8", format!("Unable to handle service: {service}"));
    }
    let who = call.shown.api();
    let scopes: Vec<&str> =
        call.query.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' ')).collect();
    // Only without a scope does a wrong password show.
    if scopes.is_empty() && who == Who::Anonymous {
        return empty(401);
    }
    let mut access = BTreeMap::new();
    let mut claims = Vec::new();
    for scope in scopes {
        let Some((kind, rest)) = scope.split_once(':') else { continue };
        let Some((name, _)) = rest.rsplit_once(':') else { continue };
        let project = name.split('/').next().unwrap_or_default();
        let actions = state.actions(&who, project);
        claims.push(json!({ "type": kind, "name": name, "actions": actions }));
        access.insert(project.to_owned(), actions);
    }
    let seconds = state.token_minutes * 60;
    let token = sign(&state.name(&who), &Value::Array(claims), seconds);
    state.tokens.insert(token.clone(), Token { who, access, issued: Instant::now(), seconds });
    // Clients count the token's life from here.
    let now = slipway::clock::now();
    let answer = json!({ "token": token, "access_token": "", "expires_in": seconds, "issued_at": now });
    encoded_json(200, &answer)
}

/// A token that can be read; nobody but its issuer checks it, who knows it.
fn sign(name: &str, access: &Value, seconds: i64) -> String {
    let mut claims = json!({
        "iss": "harbor-token-issuer", "aud": "harbor-registry", "jti": uuid::Uuid::now_v7().to_string(),
        "expires_in": seconds, "access": access,
    });
    if !name.is_empty() {
        claims["sub"] = json!(name);
    }
    let encode = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2lnbmVk", encode(&json!({ "alg": "RS256", "typ": "JWT" })), encode(&claims))
}
