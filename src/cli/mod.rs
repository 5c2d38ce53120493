//! The command line: flags in, requests out; data to stdout, people's text to stderr.

mod apply;
mod args;
mod base_images;
mod build;
mod bundle;
mod cache;
mod cancel;
mod dead;
mod doctor;
mod explain;
mod harbor;
mod images;
mod init;
mod logging;
mod plan;
mod print;
mod progress;
mod queues;
mod request;
mod run;
mod secret_store;
mod server;
mod setup;
mod signals;
mod submit;
mod worker;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use tokio_util::sync::CancellationToken;

use crate::model::failure::{Failure, FailureCode};
use args::{Cli, Verb};

/// Exit code of wrong usage or configuration.
const USAGE: u8 = 2;
/// Exit code of a failure that may be gone later (BSD's `EX_TEMPFAIL`).
const TEMPORARY: u8 = 75;
/// Exit code of a cancelled build, as shells give it for Ctrl-C.
const CANCELLED: u8 = 130;

/// How long work that blocks may go on after the end.
const LAST: Duration = Duration::from_secs(5);

/// Runs the program: parses the arguments, does what they say, gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Verb::Completions { shell } = &cli.verb {
        // A reader that has seen enough is no reason to panic, as writing to it directly would.
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "slipway", &mut script);
        let _ = std::io::stdout().write_all(&script);
        return ExitCode::SUCCESS;
    }
    let _traces = logging::start(&cli);
    // The only provider of cryptography in the program; a second installation is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("error: the runtime does not start: {error}");
            return ExitCode::from(TEMPORARY);
        }
    };
    let code = runtime.block_on(async {
        let cancel = CancellationToken::new();
        // Worker and server have their own way to go.
        let listens = !matches!(cli.verb, Verb::Worker(_) | Verb::Server(_));
        let signal = listens.then(|| tokio::spawn(signals::cancel_on_signal(cancel.clone())));
        let outcome = dispatch(&cli, &cancel).await;
        signal.inspect(tokio::task::JoinHandle::abort);
        match outcome {
            Ok(code) => code,
            Err(failure) => {
                explain::to_stderr(&failure);
                exit_code(&failure)
            }
        }
    });
    // What still blocks a thread is not waited for: it leaves nothing that a killed program would not leave.
    runtime.shutdown_timeout(LAST);
    code
}

async fn dispatch(cli: &Cli, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    match &cli.verb {
        Verb::Plan(flags) => plan::plan(cli, flags, cancel).await,
        Verb::Build(flags) if flags.dry_run => plan::plan(cli, &flags.common, cancel).await,
        Verb::Build(flags) => build::build(cli, flags, cancel).await,
        Verb::Run(flags) => run::run(cli, flags, cancel).await,
        Verb::Init(flags) => init::init(cli, flags, cancel).await,
        Verb::BaseImages(verb) => base_images::base_images(cli, verb, cancel).await,
        Verb::Worker(_) => worker::worker(cli).await,
        Verb::Server(flags) if flags.new_admin_token => server::new_admin_token(cli).await,
        Verb::Server(_) => server::server(cli).await,
        Verb::Apply(flags) => apply::apply(cli, flags).await,
        Verb::Queues(verb) => queues::queues(cli, verb).await,
        Verb::Submit(flags) => submit::submit(cli, flags, cancel).await,
        Verb::Cancel { id, reason } => cancel::cancel(cli, id, reason.as_deref()).await,
        Verb::Dead(verb) => dead::dead(cli, verb).await,
        Verb::Cache(verb) => cache::cache(cli, verb).await,
        Verb::Harbor(verb) => harbor::harbor(cli, verb).await,
        Verb::Images(verb) => images::images(cli, verb, cancel).await,
        Verb::Bundle(verb) => bundle::bundle(cli, verb, cancel).await,
        Verb::Doctor(flags) => doctor::doctor(cli, flags).await,
        Verb::Schema { of } => print::schema(*of),
        Verb::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// The exit code of a failure (`docs/cli.md`).
fn exit_code(failure: &Failure) -> ExitCode {
    ExitCode::from(match failure.code {
        FailureCode::Cancelled => CANCELLED,
        FailureCode::ConfigurationInvalid => USAGE,
        _ if failure.retryable => TEMPORARY,
        _ => 1,
    })
}
