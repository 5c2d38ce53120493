//! Control messages: every worker reads them all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::failure::Failure;
use crate::model::names::BuildId;

/// Ends a build, wherever it is: waiting, running, or about to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelMessage {
    /// The format's version: 1.
    pub version: u32,
    /// The build.
    pub id: BuildId,
    /// Why, for people; the report shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CancelMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// `request_invalid` with the path of the field.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        super::parse("cancel", body)
    }
}

/// Says among workers that a build with a `supersede` key was taken. The order in which these stand in the control
/// stream is the same for all, so that all agree on which build is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupersedeMessage {
    /// The format's version: 1.
    pub version: u32,
    /// The build that was taken.
    pub id: BuildId,
    /// Product line, application and the sender's key.
    pub key: String,
    /// When the request was sent, in Unix time; 0 if unknown.
    pub sent_at: u64,
}

impl SupersedeMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// `request_invalid` with the path of the field.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        super::parse("supersede", body)
    }
}
