//! Git: from a source to the files of one commit.
//!
//! Repositories are mirrored in a cache, one mirror per repository and credentials; whether a
//! commit may be read is asked of the server each time. Builds get a directory of their own
//! with a small `.git` in it, never the mirror.

mod access;
mod diagnosis;
mod encoding;
mod fetched;
mod files;
mod git;
mod history;
mod listing;
mod local;
mod mirror;
mod oid;
mod pack;
mod remote;
mod repository;
mod resolve;
mod shared;
mod ssh;
mod status;
mod submodules;
mod tree;

pub use access::{Access, Account, AllowList, Credentials, SshIdentity};
pub use fetched::{Checkout, Fetched, Meant, meant, resolve_and_fetch};
pub use local::{WorkingTree, origin_url};
pub use tree::TreeReader;
