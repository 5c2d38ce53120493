//! What an account may do in a project, read from a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::Value;

use super::Client;
use super::client::encoded;
use crate::model::failure::Failure;

/// What Harbor grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// The name or the password is not accepted. Harbor's token service answers 200 all the same.
    Stranger,
    /// These actions: `pull`, `push`, `delete`. None also where the project does not exist.
    Known(Vec<String>),
}

impl Rights {
    /// Reads the claims of a token; `None` where they say nothing of rights.
    #[must_use]
    pub fn of(claims: &Value) -> Option<Self> {
        let entries = claims["access"].as_array()?;
        if claims["sub"].as_str().unwrap_or_default().is_empty() {
            return Some(Self::Stranger);
        }
        let actions = entries.iter().flat_map(|entry| entry["actions"].as_array().into_iter().flatten());
        Some(Self::Known(actions.filter_map(Value::as_str).map(str::to_owned).collect()))
    }

    /// Whether it includes this.
    #[must_use]
    pub fn include(&self, action: &str) -> bool {
        matches!(self, Self::Known(actions) if actions.iter().any(|known| known == action))
    }
}

/// The claims of a JSON web token, unverified; `None` for an opaque token.
#[must_use]
pub fn claims(token: &str) -> Option<Value> {
    let part = token.split('.').nth(1)?.trim_end_matches('=');
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

impl Client {
    /// What the account may do with a repository: one request. Harbor knows rights by project only.
    ///
    /// # Errors
    /// `registry_unavailable`; `registry_refused` where the token service is none of Harbor's.
    pub async fn rights(&self, repository: &str) -> Result<Rights, Failure> {
        let scope = encoded(&format!("repository:{repository}:pull,push"));
        let path = format!("/service/token?service=harbor-registry&scope={scope}");
        let reply = self.send(Method::GET, &path, None).await?;
        if reply.status == 401 {
            return Ok(Rights::Stranger);
        }
        // `access_token` is there, and empty.
        let token = ["access_token", "token"]
            .iter()
            .filter_map(|key| reply.body[*key].as_str())
            .find(|token| !token.is_empty())
            .unwrap_or_default();
        match claims(token).as_ref().and_then(Rights::of) {
            Some(rights) => Ok(rights),
            None => Err(self.unexpected("tell rights", &reply).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_tells_strangers_readers_and_writers() {
        let stranger = json!({ "access": [{ "actions": ["pull"] }] });
        assert_eq!(Rights::of(&stranger), Some(Rights::Stranger));
        let reader = Rights::of(&json!({ "sub": "r", "access": [{ "actions": ["pull"] }] })).unwrap();
        assert!(reader.include("pull") && !reader.include("push"));
        let nobody = Rights::of(&json!({ "sub": "r", "access": [{ "actions": [] }] })).unwrap();
        assert_eq!(nobody, Rights::Known(Vec::new()));
        assert_eq!(Rights::of(&json!({ "sub": "r" })), None);
        assert_eq!(claims("opaque"), None);
    }
}
