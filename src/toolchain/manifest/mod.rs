//! One pure reader per manifest format: a `SourceTree` in, `Findings` out.

pub mod dockerfile;
mod goconstraint;
mod godirectives;
pub mod gomod;
mod gosource;
mod gotokens;
pub mod pom;
pub mod python;
pub mod versions;
mod yaml;

use super::findings::Reader;
use crate::model::failure::{Failure, FailureCode};

/// The readers by the names that `toolchain.toml` gives them.
const READERS: &[(&str, Reader)] =
    &[("dockerfile", dockerfile::read), ("gomod", gomod::read), ("pom", pom::read), ("python", python::read)];

/// Extensions of sources in which the readers look for ASCII words only, so that an unknown encoding does not matter.
pub const ASCII_ENOUGH: &[&str] = &["java", "kt", "properties", "py", "go"];

/// The reader of a format, by the name that `toolchain.toml` gives it.
///
/// # Errors
/// `configuration_invalid` where there is no such reader.
pub fn reader(name: &str) -> Result<Reader, Failure> {
    let found = READERS.iter().find(|(known, _)| *known == name);
    found.map(|(_, reader)| *reader).ok_or_else(|| {
        Failure::new(FailureCode::ConfigurationInvalid, format!("there is no manifest reader `{name}`"))
            .candidates(READERS.iter().map(|(known, _)| (*known).to_owned()))
    })
}
