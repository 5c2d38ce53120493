//! What end-to-end tests share: projects, the built program, containers, probes.

pub(crate) mod account;
pub(crate) mod case;
pub(crate) mod container;
#[path = "../../bench-queue/figures.rs"]
pub(crate) mod figures;
pub(crate) mod fleet;
pub(crate) mod harbor;
pub(crate) mod image;
pub(crate) mod private;
pub(crate) mod probe;
pub(crate) mod project;
pub(crate) mod repository;
pub(crate) mod slipway;
