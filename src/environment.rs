//! Slipway's own environment: the only place that reads it.
#![allow(clippy::disallowed_methods, reason = "the one place that may")]

use std::ffi::OsString;
use std::path::PathBuf;

/// A variable, if it is set to text.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// All variables, for commands of the operator's.
#[must_use]
pub fn all() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// The variables that lie over the configuration: `SLIPWAY__SECTION__KEY` and their values, by name.
#[must_use]
pub fn overlay() -> Vec<(String, String)> {
    let mut found: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("SLIPWAY__"))
        .collect();
    found.sort();
    found
}

/// Where caches are kept (XDG Base Directory Specification).
#[must_use]
pub fn cache_directory() -> PathBuf {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(std::env::temp_dir);
    cache.join("slipway")
}

/// Where what has to last is kept (XDG Base Directory Specification).
#[must_use]
pub fn state_directory() -> PathBuf {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let state = variable("XDG_STATE_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(std::env::temp_dir);
    state.join("slipway")
}

/// The machine's bundle of certificate authorities.
#[must_use]
pub fn ca_bundle() -> Option<PathBuf> {
    let standard = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    let stated = variable("SSL_CERT_FILE").map(PathBuf::from);
    stated.into_iter().chain(standard.map(PathBuf::from)).find(|path| path.is_file())
}

/// Docker's own `config.json`, where there may be one.
#[must_use]
pub fn docker_config() -> Option<PathBuf> {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".docker"));
    Some(variable("DOCKER_CONFIG").map(PathBuf::from).or_else(home)?.join("config.json"))
}

/// Whether this program was started to outlive its terminal: `nohup` ignores the signal for it (`proc(5)`, `SigIgn`).
#[must_use]
pub fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The lowest bit is the first signal, which is this one.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
