//! The JSON schemas of what people and programs exchange with Slipway, from the types themselves.

use serde_json::Value;

/// Of `slipway plan --format json`.
#[must_use]
pub fn plan() -> Value {
    schemars::schema_for!(crate::model::plan::Plan).to_value()
}

/// Of `slipway build --format json`.
#[must_use]
pub fn report() -> Value {
    schemars::schema_for!(crate::model::report::BuildReport).to_value()
}

/// Of `slipway.toml`.
#[must_use]
pub fn settings() -> Value {
    schemars::schema_for!(crate::model::settings::Settings).to_value()
}

/// Of the operator's `config.toml`.
#[must_use]
pub fn config() -> Value {
    schemars::schema_for!(crate::config::Config).to_value()
}

/// Of build messages.
#[must_use]
pub fn message() -> Value {
    schemars::schema_for!(crate::message::BuildMessage).to_value()
}

/// Of event messages.
#[must_use]
pub fn event() -> Value {
    schemars::schema_for!(crate::message::EventMessage).to_value()
}

/// Of cancel messages.
#[must_use]
pub fn cancel() -> Value {
    schemars::schema_for!(crate::message::CancelMessage).to_value()
}

/// Of the messages by which a newer build takes the place of older ones.
#[must_use]
pub fn supersede() -> Value {
    schemars::schema_for!(crate::message::SupersedeMessage).to_value()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_people_write_refuses_unknown_keys() {
        for schema in [super::settings(), super::config(), super::message(), super::cancel(), super::supersede()] {
            assert_eq!(schema["additionalProperties"], false);
        }
    }
}
