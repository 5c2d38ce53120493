//! Plans, builds, starts and asks public repositories, from local clones: `make corpus CORPUS_DIR=…`.
//!
//! It is no part of `cargo test`: the clones are not in the tree, and the whole takes hours.
#![allow(clippy::disallowed_methods, reason = "it starts programs, as tests do")]

mod attempt;
#[allow(dead_code, reason = "end-to-end tests use the rest")]
#[path = "../it/support/container.rs"]
mod container;
mod coverage;
#[allow(dead_code, reason = "end-to-end tests use the rest")]
#[path = "../it/support/probe.rs"]
mod probe;
mod rows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use slipway::catalog::{Catalog, Operator, embedded};
use slipway::model::failure::FailureCode;

use attempt::Bench;
use rows::Row;

/// Tries the repositories of `tests/corpus.toml` and writes `docs/coverage.md`
#[derive(Debug, Parser)]
struct Arguments {
    /// The directory with the clones: `OWNER/NAME` or `OWNER/NAME.git`, with a work tree or bare
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Only rows whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Only rows of this toolchain
    #[arg(long, value_name = "NAME")]
    ecosystem: Option<String>,
    /// Only rows that have not passed yet
    #[arg(long)]
    resume: bool,
    /// Plan and stop
    #[arg(long)]
    plan_only: bool,
    /// Leave the built images
    #[arg(long)]
    keep_images: bool,
    /// The page with the table, which is also where a run goes on from
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/coverage.md"))]
    page: PathBuf,
    /// The program; the one that was built with this runner if absent
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_slipway"))]
    slipway: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus.toml");
    let rows = match rows::read(&file, &toolchains(), &codes()) {
        Ok(rows) => rows,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let page = &arguments.page;
    let mut coverage = coverage::read(page);
    let bench = Bench {
        slipway: arguments.slipway.clone(),
        clones: arguments.dir.clone(),
        plan_only: arguments.plan_only,
        keep_images: arguments.keep_images,
    };
    let mut failed = 0;
    for row in rows.iter().filter(|row| wanted(&arguments, row)) {
        let before = coverage.get(&row.id()).cloned().unwrap_or_default();
        if arguments.resume && before.passed() {
            continue;
        }
        // That nobody has it here says nothing of the row.
        if !bench.has(row) {
            println!("{:<50} no clone", row.id());
            failed += 1;
            continue;
        }
        let mut line = bench.attempt(row).await;
        println!("{:<50} {:<20} {}", row.id(), line.outcome, line.reason);
        if line.outcome == "planned" {
            // Planning alone takes nothing from what a build has shown, and is no first run.
            line = coverage::Line {
                plan_ms: line.plan_ms,
                ..if before.outcome.is_empty() { line } else { before.clone() }
            };
        }
        failed += usize::from(line.outcome == "failed");
        line.first = match before.first.as_str() {
            "" if line.outcome == "planned" => String::new(),
            "" => line.outcome.clone(),
            first => first.to_owned(),
        };
        coverage.insert(row.id(), line);
        if let Err(error) = coverage::write(page, &coverage) {
            eprintln!("{}: {error}", page.display());
            return ExitCode::from(2);
        }
    }
    let passed = coverage.values().filter(|line| line.passed()).count();
    println!("{passed} of {} rows pass; {failed} of this run failed", coverage.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wanted(arguments: &Arguments, row: &Row) -> bool {
    let named = arguments.only.is_empty() || arguments.only.iter().any(|text| row.id().contains(text.as_str()));
    named && arguments.ecosystem.as_ref().is_none_or(|ecosystem| *ecosystem == row.ecosystem)
}

fn toolchains() -> std::collections::BTreeSet<String> {
    let catalog = Catalog::from_files(&embedded(), Operator::default()).expect("the embedded catalogue is whole");
    catalog.toolchains.into_keys().collect()
}

fn codes() -> std::collections::BTreeSet<&'static str> {
    FailureCode::ALL.iter().map(|code| code.name()).collect()
}
