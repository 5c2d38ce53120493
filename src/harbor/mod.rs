//! Harbor: what it adds to a registry, asked for through its own API (`/api/v2.0`, `/service/token`).
//!
//! One client, [`Client`]; everything else is what its answers mean. How Harbor answers was measured on 2.13, 2.15 and
//! 2.16; `docs/harbor.md` says which of it matters to an operator. Nothing here is asked of a registry that is no Harbor.

mod artifacts;
mod client;
mod gate;
mod preflight;
mod projects;
mod refusal;
mod rights;
mod robots;
mod scan;

pub use artifacts::{ArtifactName, Done};
pub use client::{Client, Reply};
pub use gate::Gate;
pub use preflight::{Preflight, SystemInfo, Wanted};
pub use projects::{NewProject, Project, Quota};
pub use refusal::refusal;
pub use rights::{Rights, claims};
pub use robots::{Realm, Robot, Task};
