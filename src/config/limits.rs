//! What a build may take of time and machine.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration, durations, size};
use crate::model::failure::Step;

/// `[limits]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Time of a whole build, from its checkout to its push: `30m`. A request may lower it.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Time of single steps: `{ compile = "20m", push = "5m" }`. What a step has is never more than what is left of `timeout`.
    #[serde(with = "durations", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub steps: BTreeMap<Step, Duration>,
    /// Time that a command may print nothing: `10m`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub silence: Duration,
    /// Memory of a command: `4GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub memory: u64,
    /// CPUs of a command.
    pub cpus: f64,
    /// Processes and threads of a command.
    pub processes: i64,
    /// What files of a build may take of the disk while it runs: `8GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub disk: u64,
    /// What has to be free of the disk when a build starts: `1GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub free_disk: u64,
    /// What goes into an image above its base: `4GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub output: u64,
    /// What is kept of the text that a command prints: `64MiB`. What is over is dropped, and the log says so.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub log: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(25),
            steps: BTreeMap::new(),
            silence: Duration::from_mins(10),
            memory: 4 << 30,
            cpus: 2.0,
            processes: 2048,
            disk: 8 << 30,
            free_disk: 1 << 30,
            output: 4 << 30,
            log: 64 << 20,
        }
    }
}
