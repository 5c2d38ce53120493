//! What outlives a worker: which builds have ended, the reports that no broker has confirmed yet, and the logs of builds.
//!
//! The first two live in `SQLite`, in one file or in two, and several processes may share them. Their answers hold when a worker is
//! killed at any moment. They may lose the last instants when the machine itself loses power, which costs nothing: a
//! request is acknowledged only after its report is confirmed, so the broker delivers it again.

mod database;
mod ledger;
mod log_file;
mod log_files;
mod outbox;

pub use ledger::{Finished, Ledger};
pub use log_file::LogFile;
pub use log_files::{LogFiles, Pruned};
pub use outbox::{Entry, Outbox, OutboxLimits, Put, Waiting};
