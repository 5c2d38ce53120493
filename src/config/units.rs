//! Durations and sizes as people write them.

/// Durations as people write them: `90s`, `20m`, `2h`, `14d`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads a duration.
    ///
    /// # Errors
    /// A sentence that says the form.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            "d" => Some(86400),
            _ => None,
        };
        let seconds = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        seconds
            .map(Duration::from_secs)
            .ok_or_else(|| format!("`{text}` is no duration: write `90s`, `20m`, `2h` or `14d`"))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    pub(in crate::config) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*duration))
    }

    /// Writes a duration in the largest unit that it is a whole number of.
    #[must_use]
    pub fn text(duration: Duration) -> String {
        match duration.as_secs() {
            seconds if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
            seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
            seconds => format!("{seconds}s"),
        }
    }
}

/// Durations by step.
pub(in crate::config) mod durations {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::failure::Step;

    #[derive(Serialize, Deserialize)]
    struct One(#[serde(with = "super::duration")] Duration);

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<BTreeMap<Step, Duration>, D::Error> {
        let steps = BTreeMap::<Step, One>::deserialize(source)?;
        Ok(steps.into_iter().map(|(step, One(time))| (step, time)).collect())
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        steps: &BTreeMap<Step, Duration>,
        target: S,
    ) -> Result<S::Ok, S::Error> {
        target.collect_map(steps.iter().map(|(step, time)| (step, One(*time))))
    }
}

/// Sizes as people write them: `512MiB`, `4GiB`.
pub mod size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads a size in bytes.
    ///
    /// # Errors
    /// A sentence that says the form.
    pub fn parse(text: &str) -> Result<u64, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let shift = match unit {
            "B" => Some(0),
            "KiB" => Some(10),
            "MiB" => Some(20),
            "GiB" => Some(30),
            _ => None,
        };
        let bytes = number.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
        bytes.ok_or_else(|| format!("`{text}` is no size: write `512MiB` or `4GiB`"))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in crate::config) fn serialize<S: Serializer>(size: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{size}B"))
    }
}

/// Durations that may be absent.
pub mod some_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::duration::parse(&text)).transpose().map_err(D::Error::custom)
    }

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::config) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_str(&super::duration::text(*duration)),
            None => serializer.serialize_none(),
        }
    }
}

/// Sizes that may be left out.
pub mod some_size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::size::parse(&text)).transpose().map_err(D::Error::custom)
    }

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::config) fn serialize<S: Serializer>(size: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match size {
            Some(size) => serializer.serialize_str(&format!("{size}B")),
            None => serializer.serialize_none(),
        }
    }
}
