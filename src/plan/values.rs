//! What is stated has the right type by now; whether it can be meant is looked at here, before anything is made of it.

use super::settings::Stated;
use crate::dockerfile::render::is_plain;
use crate::model::failure::{Failure, FailureCode};

/// Refuses values that no image could have.
///
/// # Errors
/// `settings_invalid` with the line, or `request_invalid` where flags or a message say it.
pub(super) fn check(stated: &Stated) -> Result<(), Failure> {
    let settings = &stated.value;
    let refuse = |key: &str, why: &str, hint: &str| Err(refused(stated, key, why, hint));
    for (table, env) in [("runtime.env", &settings.runtime.env), ("toolchain.env", &settings.toolchain.env)] {
        for (name, value) in env {
            let key = format!("{table}.{name}");
            if !is_plain(name) {
                return refuse(&key, "is no name of a variable", "write it of letters, digits and `_`");
            }
            if value.contains(['\0', '\n']) && table == "runtime.env" {
                return refuse(&key, "has a line break, which the environment of an image cannot have", ONE_LINE);
            }
        }
    }
    for (name, value) in &settings.image.labels {
        if name.is_empty() || format!("{name}{value}").contains(['\0', '\n']) {
            let key = format!("image.labels.{name}");
            return refuse(&key, "is empty or has a line break, which no label can have", ONE_LINE);
        }
    }
    if settings.runtime.ports.iter().flatten().any(|port| *port == 0) {
        return refuse("runtime.ports", "has the port 0, on which nothing listens", "write the port: `ports = [8080]`");
    }
    for volume in settings.runtime.volumes.iter().flatten() {
        let plain = volume.trim_end_matches('/').starts_with('/') && volume.split('/').all(|part| part != "..");
        if !plain || volume.contains(char::is_control) {
            let why = format!("has {volume:?}, which is no directory of the image's");
            return refuse("runtime.volumes", &why, "write absolute paths: `volumes = [\"/app/data\"]`");
        }
    }
    if let Some(path) = &settings.runtime.health
        && (!path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()))
    {
        let why = format!("is {path:?}, and has to be the path that answers");
        return refuse(
            "runtime.health",
            &why,
            "write it from the root on, without host and port: `health = \"/health\"`",
        );
    }
    Ok(())
}

const ONE_LINE: &str = "write it in one line, or put it into a file of the application";

/// Whoever stated it is told, by the line where it stands.
fn refused(stated: &Stated, key: &str, why: &str, hint: &str) -> Failure {
    let message = format!("`{}` {why}", key.escape_debug());
    match stated.origin(key).and_then(|origin| Some((origin.path.clone()?, origin.line))) {
        Some((path, line)) => Failure::new(FailureCode::SettingsInvalid, message).hint(hint).at(path, line),
        None => Failure::new(FailureCode::RequestInvalid, message).hint(hint),
    }
}
