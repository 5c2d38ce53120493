//! What programs exchange with Slipway as JSON, whichever way it travels: build, event and control messages.

pub mod build;
pub mod control;
pub mod event;

pub use build::{BuildMessage, Lane};
pub use control::{CancelMessage, SupersedeMessage};
pub use event::EventMessage;

use serde::de::DeserializeOwned;

use crate::model::failure::{Failure, FailureCode};
use crate::model::names::{ApplicationName, ProductLine};

/// The only version of every format there is.
pub const VERSION: u32 = 1;

/// The largest message that is read.
pub const MAX_BYTES: usize = 256 << 10;

/// What builds replace each other by: product line, application, and the sender's own word.
#[must_use]
pub fn supersede_key(product_line: &ProductLine, application: &ApplicationName, word: &str) -> String {
    format!("{product_line}/{application}/{word}")
}

/// Reads a message strictly: size, UTF-8, version, then the fields.
fn parse<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, Failure> {
    let refused = |why: String| Failure::new(FailureCode::RequestInvalid, format!("the {what} message {why}"));
    if body.len() > MAX_BYTES {
        return Err(refused(format!("has {} bytes; at most {MAX_BYTES} are read", body.len())));
    }
    let text = std::str::from_utf8(body).map_err(|error| refused(format!("is not UTF-8: {error}")))?;
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| refused(format!("is not JSON: {error}")))?;
    match value.get("version") {
        Some(version) if version.as_u64() == Some(u64::from(VERSION)) => {}
        Some(version) => {
            let message = refused(format!("has `version` {}", shortened(&version.to_string())));
            return Err(message.at("version", None).hint(format!("write `\"version\": {VERSION}`")));
        }
        None => return Err(refused("has no `version`".to_owned()).at("version", None)),
    }
    // From the text, since numbers and duplicate keys are only seen there.
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        refused(format!("is wrong at `{path}`: {}", shortened(&error.inner().to_string()))).at(path, None)
    })
}

/// What others wrote may be long.
fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}
