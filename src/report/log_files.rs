//! The whole log of every build, as a compressed file each, until they are too old or too many.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::log_file::LogFile;
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::BuildId;

/// What the name of a log ends with.
const SUFFIX: &str = ".log.gz";

/// Where logs are kept, and how long.
#[derive(Debug, Clone)]
pub struct LogFiles {
    directory: PathBuf,
    keep: Duration,
    size: u64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl LogFiles {
    /// Logs in a directory, which is made if it is not there: none is kept longer than `keep`, and all together take no
    /// more than `size` bytes.
    ///
    /// # Errors
    /// `configuration_invalid` where the directory cannot be made.
    pub fn open(directory: PathBuf, keep: Duration, size: u64) -> Result<Self, Failure> {
        std::fs::create_dir_all(&directory).map_err(|error| {
            let message = format!("`{}`, where logs are kept, cannot be made: {error}", directory.display());
            Failure::new(FailureCode::ConfigurationInvalid, message)
                .hint("set `logs.directory` to one that Slipway may write to")
        })?;
        Ok(Self { directory, keep, size })
    }

    /// The log of an attempt. Nothing is written before its first line.
    #[must_use]
    pub fn begin(&self, id: &BuildId, attempt: u32) -> LogFile {
        LogFile::new(self.directory.join(format!("{id}.{attempt}{SUFFIX}")))
    }

    /// Removes the logs that are too old, then the oldest until the rest takes no more than it may. Blocks.
    #[must_use]
    pub fn prune(&self) -> Pruned {
        let mut logs = logs(&self.directory);
        logs.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| a.path.cmp(&b.path)));
        let mut total: u64 = logs.iter().map(|log| log.bytes).sum();
        let mut pruned = Pruned::default();
        for log in logs {
            if log.age <= self.keep && total <= self.size {
                break;
            }
            match std::fs::remove_file(&log.path) {
                Ok(()) => {
                    pruned.files += 1;
                    pruned.bytes += log.bytes;
                    total -= log.bytes;
                }
                // Another worker was faster.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => total -= log.bytes,
                Err(error) => tracing::warn!(path = %log.path.display(), %error, "an old log stays behind"),
            }
        }
        pruned
    }
}

struct Log {
    path: PathBuf,
    age: Duration,
    bytes: u64,
}

fn logs(directory: &Path) -> Vec<Log> {
    let now = crate::clock::since_epoch();
    let log = |entry: DirEntry| {
        let metadata = entry.metadata().ok()?;
        let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_log = metadata.is_file() && entry.file_name().to_string_lossy().ends_with(SUFFIX);
        is_log.then(|| Log { path: entry.path(), age: now.saturating_sub(written), bytes: metadata.len() })
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(log).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn log(directory: &Path, name: &str, days: u64, bytes: usize) {
        let path = directory.join(name);
        std::fs::write(&path, vec![0; bytes]).unwrap();
        let written = UNIX_EPOCH + crate::clock::since_epoch().saturating_sub(Duration::from_hours(24 * days));
        File::options().append(true).open(path).unwrap().set_modified(written).unwrap();
    }

    #[test]
    fn the_old_go_then_the_oldest_until_the_rest_fits() {
        let directory = tempfile::tempdir().unwrap();
        for (name, days) in
            [("a.1.log.gz", 20), ("b.1.log.gz", 3), ("c.1.log.gz", 2), ("d.1.log.gz", 1), ("note.txt", 99)]
        {
            log(directory.path(), name, days, 1000);
        }
        let keep = Duration::from_hours(24 * 14);
        let files = LogFiles::open(directory.path().to_owned(), keep, 2500).unwrap();
        assert_eq!(files.prune(), Pruned { files: 2, bytes: 2000 });
        let mut left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["c.1.log.gz", "d.1.log.gz", "note.txt"]);
        assert_eq!(files.prune(), Pruned::default());
    }
}
