//! Files of a repository that do not belong into an image.

use std::path::Path;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::failure::Warning;

/// What never belongs into an image: it is made elsewhere, or only for those who work on the source.
pub const EXCLUDES: &[&str] = &[
    ".git/",
    ".hg/",
    ".svn/",
    "__pycache__/",
    "*.pyc",
    ".venv/",
    "venv/",
    "node_modules/",
    ".tox/",
    ".nox/",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".idea/",
    ".vscode/",
    ".DS_Store",
];

/// Where Git keeps a repository's whole history, and where it came from.
pub const GIT: &str = ".git";

/// Files that by their name hold a secret, with the reason that a warning gives.
///
/// Whoever can pull an image can read all of its files.
pub const SECRETS: &[(&str, &str)] = &[
    (".env", "may hold passwords"),
    (".env.*", "may hold passwords"),
    ("*.pem", "may hold a private key"),
    ("*.key", "may hold a private key"),
    ("*.p12", "holds a private key"),
    ("*.pfx", "holds a private key"),
    ("*.jks", "may hold a private key"),
    ("*.keystore", "may hold a private key"),
    ("id_rsa*", "is an SSH key"),
    ("id_dsa*", "is an SSH key"),
    ("id_ecdsa*", "is an SSH key"),
    ("id_ed25519*", "is an SSH key"),
    (".npmrc", "may hold a registry's token"),
    (".pypirc", "may hold a registry's password"),
    (".netrc", "holds passwords"),
    (".git-credentials", "holds passwords"),
    (".htpasswd", "holds password hashes"),
    ("credentials.json", "may hold a cloud account's key"),
    (".aws/", "holds a cloud account's key"),
    (".ssh/", "holds SSH keys"),
];

/// Names among [`SECRETS`] that are templates without values, lists of public certificates under the names that curl, certifi and
/// the clouds' databases give them, and public keys, which whoever checks a signature needs.
pub const HARMLESS: &[&str] = &[
    ".env.dist",
    ".env.example",
    ".env.sample",
    ".env.template",
    "cacert.pem",
    "ca-bundle.pem",
    "*-ca-bundle.pem",
    "*-ca-certificate.pem",
    "ca-certificates.pem",
    "global-bundle.pem",
    "*[Pp]ublic.pem",
    "*[Pp]ublic.key",
    "*[Pp]ublic[-_.][Kk]ey.pem",
    "*[Pp]ublic[Kk]ey.pem",
    "*[-_.]pub.pem",
];

/// Whether a path holds what every path has that one of [`SECRETS`] matches: most files need not be asked any further.
#[must_use]
pub fn may_be_secret(path: &str) -> bool {
    static PARTS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let parts = SECRETS.iter().map(|(pattern, _)| pattern.trim_end_matches('/').trim_matches('*'));
        AhoCorasick::new(parts).ok()
    });
    PARTS.as_ref().is_none_or(|parts| parts.is_match(path))
}

/// Whether a path may be one of [`SECRETS`] or within [`GIT`]'s directory.
#[must_use]
pub fn may_be_left_out(path: &Path) -> bool {
    may_be_secret(&path.to_string_lossy()) || path.iter().any(|part| part == GIT)
}

/// Says that a file is left out: `path` is relative to the directory that is copied.
#[must_use]
pub fn warning(path: &str, why: &str) -> Warning {
    let path = path.escape_debug().to_string();
    let message = format!("`{path}` is left out of the image: it {why}");
    Warning::new(
        "secret_left_out",
        message,
        format!("if it belongs there, name it in `slipway.toml`: `include = [\"{path}\"]`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_part_of_a_pattern_can_be_a_secret() {
        for (pattern, _) in SECRETS {
            // One `*` at most, at an end: what lies between is in every path that matches.
            let inner = pattern.trim_end_matches('/').trim_matches('*');
            assert!(!inner.is_empty() && !inner.contains(['*', '?', '[', '/', '\\', '!']), "{pattern}");
            let path = format!("a/{}/b", pattern.trim_end_matches('/').replace('*', "x"));
            assert!(may_be_secret(&path), "{path}");
        }
        for other in ["src/main.rs", "environment.py", "keys/public.txt", "pem", "id_card.png"] {
            assert!(!may_be_secret(other), "{other}");
        }
        for (path, expected) in [("a/.git/config", true), (".git", true), ("a/.env", true), (".gitignore", false)] {
            assert_eq!(may_be_left_out(Path::new(path)), expected, "{path}");
        }
    }
}
