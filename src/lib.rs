//! Slipway turns a commit into a container image in Harbor.
//!
//! This text is the architecture document; the modules stand in reading order.
//!
//! # The flow
//!
//! ```text
//! flags ─▶ BuildRequest ─▶ checkout ─▶ SourceTree ─▶ plan ─▶ Plan ─▶ Dockerfile      (`slipway plan` stops here)
//!                                                     ▲        │           │
//!             Catalog: toolchains/ and base-images/ ──┘   commands ─▶ BuildContext
//!                                                              │           │
//!                                    (a library ends: deploy) ◀┘   image ─▶ BuiltImage ─▶ push ─▶ PublishedImage
//!
//! every step ─▶ BuildEvent;  the end ─▶ one BuildReport
//! ```
//!
//! The chain of types is the state machine: nobody can push what was not built, or build what was not planned.
//! [`pipeline::run`] tells it as prose.
//!
//! # The rows
//!
//! Modules stand in rows, and a row names only rows above it; `tests/it/architecture.rs` reads the imports and fails
//! where one does not.
//!
//! | row | modules | what it may do |
//! | --- | --- | --- |
//! | values | [`model`] | nothing but be valid |
//! | formats | [`dockerfile`], [`toolchain`] | read texts, write texts |
//! | data | [`catalog`] | hold toolchains and base images, which are files and no code |
//! | decisions | [`mod@plan`] | decide everything, purely |
//! | edges | [`config`], [`process`], [`sandbox`], [`checkout`], [`image`] … | talk to one outside thing each |
//! | story | [`pipeline`] | put it in order |
//! | triggers | [`worker`], [`server`], [`cli`] | turn what people and programs ask into a request, and a report into what they read |
//!
//! The first four are the core: no files, no clock, no environment, no processes, no network. Where a repository has many
//! files, [`each`](model::each::each) reads them on several threads, which changes nothing of what is decided.
//!
//! # Planning
//!
//! [`plan::plan`] takes a request, a [`SourceTree`](model::source_tree::SourceTree) and a [`Catalog`](catalog::Catalog)
//! and gives a [`Plan`](model::plan::Plan). Which texts it needs only shows while it plans, so a text that is not there
//! is noted as wanted; [`plan::with_texts`] loads it and plans again. That keeps planning pure and lets a tree be read
//! from a directory or from a commit's objects, without a checkout.
//!
//! A toolchain is `toolchains/<name>/toolchain.toml` ([`toolchain::definition`]). Where manifests have to be understood,
//! it names a reader in [`toolchain::manifest`], a pure function that answers with
//! [`Findings`](toolchain::findings::Findings). No other module knows an ecosystem by name, but [`artifact`], which reads
//! what they leave behind.
//!
//! # What always holds
//!
//! - Every decision carries its [`Origin`](model::origin::Origin) and what it was preferred to. An ambiguity is a failure
//!   that names the candidates, never a guess.
//! - The same request, commit and catalogue give the same plan, byte for byte, and the same layers.
//! - A command is a list of arguments ([`model::command`]); no shell ever sees one.
//! - A generated Dockerfile places files and describes the image; it is parsed again before it is used.
//! - A failure is a value with a stable code, a blame and a hint ([`model::failure`]). It is made where it is understood,
//!   passed up unchanged, and said once.
//! - Secrets have names. A value is read by the step that needs it and is in no plan, report, layer or log line.
//! - What comes from outside is parsed into a type at the edge, once, and trusted only as far as the type says.
//! - The environment is read in [`environment`], the clock in [`clock`], programs are started in [`process`] and
//!   [`checkout`]: `clippy.toml` closes these doors everywhere else.
//!
//! # What is deliberately absent
//!
//! - **`RUN` in generated Dockerfiles.** Whatever needs to run, runs in the sandbox, where secrets and mirrors may be.
//! - **A fallback to the host for others' code.** Worker and server run commands where they were told to; a missing Engine is a
//!   failure, not an occasion. Only a person's own directory, built by hand, is built by the machine itself without one.
//! - **A plug-in interface.** Ecosystems are data; a manifest format that is new is a function.
//! - **Traits with one implementation.** A seam is made when its second side exists.
//! - **Guesses by file name** of what only an artifact tells: its main class is read from it.
//! - **A lock of packages.** Slipway resolves what the project's own lock files and constraints say, and adds none.

// Values.
pub mod model;

// Formats.
pub mod dockerfile;
pub mod toolchain;

// Data.
pub mod catalog;

// Decisions.
pub mod plan;

// Edges: each talks to one outside thing.
pub mod clock;
pub mod config;
pub mod environment;
pub mod http;
pub mod machine;
pub mod message;
pub mod metrics;
pub mod process;
pub mod schema;
pub mod secrets;
pub mod work;

pub mod leftovers;
pub mod output;
pub mod runner;
pub mod sandbox;

pub mod amqp;
pub mod artifact;
pub mod base_images;
pub mod checkout;
pub mod harbor;
pub mod image;
pub mod probes;
pub mod report;
pub mod traces;
pub mod trust;
pub mod workspace;

// Story.
pub mod pipeline;

// Triggers.
pub mod worker;

pub mod server;

pub mod cli;
