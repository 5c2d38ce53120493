//! Files of a repository that do not belong into an image.

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

/// Names among [`SECRETS`] that are templates without values, or lists of public certificates under the names that curl,
/// certifi and the clouds' databases give them.
pub const HARMLESS: &[&str] = &[
    ".env.example",
    ".env.sample",
    ".env.template",
    "cacert.pem",
    "ca-bundle.pem",
    "*-ca-bundle.pem",
    "*-ca-certificate.pem",
    "ca-certificates.pem",
    "global-bundle.pem",
];

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
