//! Control messages: every worker reads them all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BuildMessage, VERSION};
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::BuildId;

/// The most characters of the reason for a cancellation.
pub const MAX_REASON: usize = 1000;

/// The most characters of a key: both names, two slashes, and the sender's word.
const MAX_KEY: usize = 512;

/// Ends a build, wherever it is: waiting, running, or about to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelMessage {
    /// The format's version: 1.
    pub version: u32,
    /// The build.
    pub id: BuildId,
    /// Why, for people, in at most 1000 characters; the report shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CancelMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// `request_invalid` with the path of the field.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        let message: Self = super::parse("cancel", body)?;
        message.check()?;
        Ok(message)
    }

    /// What the fields cannot say of themselves.
    ///
    /// # Errors
    /// `request_invalid` with the path of the field.
    pub fn check(&self) -> Result<(), Failure> {
        bounded("cancel", "reason", self.reason.as_deref().unwrap_or_default(), MAX_REASON)
    }
}

/// Says that a build takes the place of older ones with the same key. Its sender sends this after the request, so that
/// the older ones end at once; a worker that takes a build of which nobody has said so does as well. The order in which
/// these stand in the control stream is the same for all, so that all agree on which build is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupersedeMessage {
    /// The format's version: 1.
    pub version: u32,
    /// The newer build.
    pub id: BuildId,
    /// `<product_line>/<name>/<supersede>` of the build message.
    pub key: String,
    /// When the request was sent, in Unix time, as in its property `timestamp`; 0 if unknown.
    pub sent_at: u64,
}

impl SupersedeMessage {
    /// What a request's sender says after it, if the request takes the place of others.
    #[must_use]
    pub fn of(request: &BuildMessage, sent_at: u64) -> Option<Self> {
        let application = &request.application;
        let key = super::supersede_key(&application.product_line, &application.name, request.supersede.as_deref()?);
        Some(Self { version: VERSION, id: request.id.clone(), key, sent_at })
    }

    /// Reads a message.
    ///
    /// # Errors
    /// `request_invalid` with the path of the field.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        let message: Self = super::parse("supersede", body)?;
        bounded("supersede", "key", &message.key, MAX_KEY)?;
        Ok(message)
    }
}

/// Workers keep what control messages say for a day.
fn bounded(what: &str, path: &str, text: &str, most: usize) -> Result<(), Failure> {
    match text.chars().count() {
        count if count > most => {
            let why =
                format!("the {what} message is wrong at `{path}`: it has {count} characters; at most {most} are read");
            Err(Failure::new(FailureCode::RequestInvalid, why).at(path, None))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_control_messages_is_bounded() {
        let cancel = |length: usize| {
            let message = CancelMessage { version: 1, id: "b1".parse().unwrap(), reason: Some("x".repeat(length)) };
            CancelMessage::parse(&serde_json::to_vec(&message).unwrap())
        };
        assert!(cancel(MAX_REASON).is_ok());
        assert_eq!(cancel(MAX_REASON + 1).unwrap_err().places[0].path, "reason");
        let supersede = |length: usize| {
            let key = "x".repeat(length);
            let message = SupersedeMessage { version: 1, id: "b1".parse().unwrap(), key, sent_at: 0 };
            SupersedeMessage::parse(&serde_json::to_vec(&message).unwrap())
        };
        assert!(supersede(MAX_KEY).is_ok());
        assert_eq!(supersede(MAX_KEY + 1).unwrap_err().places[0].path, "key");
    }
}
