//! Where a release of a toolchain is: in its build image, and on machines.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a release brings along for the commands of another: `toolchain.extras = ["jdk-8"]`.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    /// What it is called, before `-` and the release.
    pub name: String,
    /// Where it is in the release's build image.
    pub home: String,
    /// Copies it into `/export` in a container of the build image. Its exit code does not count, since links may lead
    /// nowhere; `check` does.
    pub copy: Vec<String>,
    /// Says in a container of the build image that the copy works; its program is relative to the copy.
    pub check: Vec<String>,
}

/// Where machines have a toolchain.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Directories of installations; `*` stands for any name, `~` for the home directory. What is on the `PATH` is found without.
    pub places: Vec<String>,
    /// The program that an installation has, relative to it; `{{ release }}` stands for the release.
    pub program: String,
    /// Arguments that make it print its version.
    pub version: Vec<String>,
    /// The version from which an installation fetches every other release by itself.
    pub fetches_from: Option<String>,
    /// Environment of commands; `{{ home }}` stands for the installation.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}
