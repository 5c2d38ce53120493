//! What a project may hold.

use super::answer::{Answer, error};
use super::state::Project;

/// What did not fit.
pub(super) struct Over {
    adding: u64,
    used: u64,
    limit: u64,
}

pub(super) fn fits(project: &Project, adding: u64) -> Result<(), Over> {
    let used = project.used();
    match project.limit {
        Some(limit) if adding > 0 && used + adding > limit => Err(Over { adding, used, limit }),
        _ => Ok(()),
    }
}

impl Over {
    pub(super) fn answer(&self) -> Answer {
        let message = format!(
            "adding {} of storage resource, which when updated to current usage of {} will exceed the configured upper limit of {}.",
            amount(self.adding),
            amount(self.used),
            amount(self.limit)
        );
        error(403, "DENIED", &message)
    }
}

/// An amount in binary units with one decimal.
pub(super) fn amount(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
