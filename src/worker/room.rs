//! Whether the machine has room for another build: disk, memory, processors.

use std::path::Path;
use std::time::Duration;

use super::Worker;
use crate::config::Config;
use crate::workspace::free;

/// How often the machine is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// What a machine has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    Disk,
    Memory,
    Processors,
}

/// What a machine has; nothing where it does not say.
#[derive(Debug, Clone, Copy, Default)]
struct Machine {
    disk: Option<u64>,
    memory: Option<u64>,
    /// Of the last minute, for each processor.
    load: Option<f64>,
}

impl Lack {
    /// Why no build is taken.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Disk => "the disk of its cache is full",
            Self::Memory => "the machine has too little free memory",
            Self::Processors => "the machine's processors have too much to do",
        }
    }
}

impl Machine {
    /// Looks at this one. Blocks for a moment.
    fn look(cache: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            disk: free(cache),
            memory: field(&read("/proc/meminfo"), "MemAvailable:"),
            load: load(&read("/proc/loadavg"), &read("/proc/stat")),
        }
    }

    /// What it has too little of for another build.
    fn lacks(self, config: &Config) -> Option<Lack> {
        let below = |has: Option<u64>, needs: u64| has.is_some_and(|has| has < needs);
        let limit = config.worker.load;
        if below(self.disk, config.limits.free_disk) {
            Some(Lack::Disk)
        } else if below(self.memory, config.worker.free_memory) {
            Some(Lack::Memory)
        } else {
            (limit > 0.0 && self.load.is_some_and(|load| load > limit)).then_some(Lack::Processors)
        }
    }
}

/// Takes no builds while the machine has no room for them.
pub(super) async fn watch(worker: &Worker) {
    let mut before = None;
    loop {
        let services = worker.services.borrow().clone();
        let cache = services.cache.clone();
        if let Ok(machine) = tokio::task::spawn_blocking(move || Machine::look(&cache)).await {
            let lack = machine.lacks(&services.config);
            if lack != before {
                let why = lack.map(Lack::reason);
                tracing::warn!(
                    why,
                    free_disk = machine.disk,
                    free_memory = machine.memory,
                    load = machine.load,
                    "room for builds"
                );
            }
            worker.gate.lacks(lack);
            before = lack;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Says where builds may together use more memory than there is.
pub(super) fn warn_of_too_much(config: &Config) {
    let lanes = &config.worker.lanes;
    let builds = u64::from(lanes.interactive) + u64::from(lanes.bulk);
    let memory = field(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal:");
    let allowed = config.limits.memory.saturating_mul(builds);
    if let Some(memory) = memory.filter(|memory| *memory < allowed) {
        tracing::warn!(
            memory_bytes = memory,
            allowed_bytes = allowed,
            builds,
            "`worker.lanes` builds of `limits.memory` each may use more memory than the machine has"
        );
    }
}

/// A field of `/proc/meminfo`, in bytes (`proc_meminfo(5)`).
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The load of the last minute for each processor (`proc_loadavg(5)`, `proc_stat(5)`).
fn load(average: &str, stat: &str) -> Option<f64> {
    let load: f64 = average.split(' ').next()?.parse().ok()?;
    let processors = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    let processors = u32::try_from(processors).ok().filter(|processors| *processors > 0)?;
    Some(load / f64::from(processors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let memory = "MemTotal:       24000000 kB\nMemFree:  1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(field(memory, "MemAvailable:"), Some(2 << 20));
        assert_eq!(field("", "MemAvailable:"), None);
        assert_eq!(load("3.00 2.00 1.00 1/234 5678\n", "cpu  1 2\ncpu0 1 2\ncpu1 1 2\nintr 1\n"), Some(1.5));
        assert_eq!(load("", ""), None);
        let here = Machine::look(Path::new("/"));
        assert!(here.disk.is_some() && here.memory.is_some() && here.load.is_some(), "{here:?}");
    }

    #[test]
    fn a_machine_without_room_takes_nothing() {
        let config: Config =
            toml::from_str("[limits]\nfree_disk = \"1GiB\"\n[worker]\nfree_memory = \"1GiB\"\nload = 2.0\n").unwrap();
        let enough = Machine { disk: Some(1 << 30), memory: Some(1 << 30), load: Some(2.0) };
        assert_eq!(enough.lacks(&config), None);
        assert_eq!(Machine { disk: Some(1), ..enough }.lacks(&config), Some(Lack::Disk));
        assert_eq!(Machine { memory: Some(1), ..enough }.lacks(&config), Some(Lack::Memory));
        assert_eq!(Machine { load: Some(2.1), ..enough }.lacks(&config), Some(Lack::Processors));
        assert_eq!(Machine::default().lacks(&config), None, "a machine that does not say has enough");
        assert_eq!(Machine { load: Some(99.0), ..enough }.lacks(&Config::default()), None);
    }
}
