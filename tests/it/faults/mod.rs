//! Faults on real parts, and what holds all the same.
//!
//! A `RabbitMQ` node, a Docker Engine, a registry, a Git server and `slipway worker` run in namespaces of their own
//! ([`namespace`]); between the worker and the others stand proxies that misbehave when a case asks them to. Cases run one
//! at a time. After each, whatever happened in it, [`invariants`] have to hold: every build that was sent has a terminal
//! report as a plain consumer sees it, nobody holds a message, nothing of a build is left, every image that was pushed can
//! be read, and the worker takes builds.
//!
//! Moments are seeded, and the output says in which step each fell. The cases of `make test` are a choice; those that
//! begin with `long:` belong to `make test-full`, and the soak to `make soak`.

mod broker;
mod case;
mod cluster;
mod engine;
mod git;
mod invariants;
mod mailbox;
mod namespace;
mod proxy;
mod registry;
mod relay;
mod worker;

mod broker_fails;
mod build_misbehaves;
mod engine_fails;
mod git_fails;
mod messages;
mod registry_fails;
mod soak;
mod somebody_cancels;
mod table;
mod worker_fails;
