//! Data to stdout.

use std::process::ExitCode;

use super::args::SchemaOf;
use crate::model::failure::{Failure, FailureCode};
use crate::schema;

/// Prints the JSON schema of a format.
pub(super) fn schema(of: SchemaOf) -> Result<ExitCode, Failure> {
    let schema = match of {
        SchemaOf::Plan => schema::plan(),
        SchemaOf::Report => schema::report(),
        SchemaOf::Settings => schema::settings(),
        SchemaOf::Config => schema::config(),
        SchemaOf::Message => schema::message(),
        SchemaOf::Event => schema::event(),
        SchemaOf::Cancel => schema::cancel(),
        SchemaOf::Supersede => schema::supersede(),
        SchemaOf::Api => crate::server::openapi(),
    };
    json(&schema)
}

/// Prints a value as JSON to stdout.
pub(super) fn json(value: &impl serde::Serialize) -> Result<ExitCode, Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
    anstream::println!("{text}");
    Ok(ExitCode::SUCCESS)
}
