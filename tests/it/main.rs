//! Tests of the whole, most of them against the real parts: `make services` starts those.
#![allow(clippy::disallowed_methods, reason = "tests start programs, and the environment says where the parts are")]

mod architecture;
mod assembler;
mod base_images;
mod checkout;
mod corpus;
mod documents;
mod examples;
mod extras;
mod failures;
mod faults;
mod go_answers;
mod harbor;
mod host_runner;
mod image;
mod init;
mod interrupt;
mod large_manifests;
mod ledger;
mod limits;
mod maven;
mod packaging;
mod plans;
mod projects;
mod runner;
mod rust_source;
mod secrets;
mod server;
mod services;
mod sources;
mod start_check;
mod support;
mod toy_ecosystem;
mod worker;
mod worker_faults;
mod worker_flows;
