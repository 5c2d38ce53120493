//! The sections of whoever works from the queue: `[amqp]` and `[worker]`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration, size};

/// `[amqp]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Amqp {
    /// The broker: `amqps://rabbitmq.example.com/slipway`, without a password; the path is the virtual host.
    pub url: Option<String>,
    /// The name of the credentials for it.
    pub credentials: Option<String>,
    /// What the names of exchanges and queues begin with.
    pub prefix: String,
    /// The broker's own `consumer_timeout`; builds have to end before it.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub consumer_timeout: Duration,
    /// How long failures that may pass wait before the next attempt; one delay for each attempt after the first.
    #[serde(with = "durations")]
    #[schemars(with = "Vec<String>")]
    pub retry_delays: Vec<Duration>,
    /// How often a message may come back from workers that died of it, before it is set aside.
    pub delivery_limit: u32,
}

impl Default for Amqp {
    fn default() -> Self {
        Self {
            url: None,
            credentials: None,
            prefix: "slipway".to_owned(),
            consumer_timeout: Duration::from_mins(30),
            retry_delays: vec![Duration::from_secs(10), Duration::from_mins(1), Duration::from_mins(10)],
            delivery_limit: 4,
        }
    }
}

/// `[worker]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// What reports call the worker; the machine's name if absent.
    pub name: Option<String>,
    /// Where it keeps what has to outlive it: which builds ended, reports that wait; `$XDG_STATE_HOME/slipway` if absent.
    pub directory: Option<PathBuf>,
    /// How many builds run at a time, by lane.
    pub lanes: Lanes,
    /// How long running builds may go on after SIGTERM, before they are stopped and given back.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub grace: Duration,
    /// How much memory has to be available on the machine before a build is taken: `2GiB`; `0B` for any.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub free_memory: u64,
    /// No build is taken while the machine's load of the last minute, for each processor, is above this: `4.0`; `0.0` for any.
    pub load: f64,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            name: None,
            directory: None,
            lanes: Lanes::default(),
            grace: Duration::from_mins(5),
            free_memory: 256 << 20,
            load: 0.0,
        }
    }
}

/// `worker.lanes`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lanes {
    /// Builds that somebody waits for.
    pub interactive: u16,
    /// Builds that may wait.
    pub bulk: u16,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { interactive: 1, bulk: 1 }
    }
}

/// Lists of durations.
mod durations {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct One(#[serde(with = "super::duration")] Duration);

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Duration>, D::Error> {
        Ok(Vec::<One>::deserialize(source)?.into_iter().map(|One(time)| time).collect())
    }

    pub(super) fn serialize<S: Serializer>(durations: &[Duration], target: S) -> Result<S::Ok, S::Error> {
        target.collect_seq(durations.iter().map(|time| One(*time)))
    }
}
