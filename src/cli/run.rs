//! `slipway run`: build, start with its ports, follow the log, remove on Ctrl-C.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::args::{Cli, Common, FormatKind};
use super::progress::Progress;
use super::{CANCELLED, build, exit_code, explain, request, setup};
use crate::image::LogSink;
use crate::model::failure::{Failure, FailureCode};
use crate::model::settings::Kind;
use crate::pipeline::{self, Delivery};

/// Builds and runs. For programs the report is on stdout as of `build`, and what the application says on stderr.
pub(super) async fn run(cli: &Cli, flags: &Common, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    build::ended(start(cli, flags, cancel).await, flags.format.format)
}

async fn start(cli: &Cli, flags: &Common, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    let request = request::request(flags, &[])?;
    // Before anything is deployed.
    if request.kind == Kind::Library {
        let failure = Failure::new(FailureCode::RequestInvalid, "a library has nothing that runs");
        return Err(failure.hint("`slipway run` is for services; `slipway build` deploys a library"));
    }
    let services = setup::services_for(cli, &request.source, flags.runner, flags.image_backend).await?;
    let Some(engine) = services.backend.engine() else {
        let failure = Failure::new(FailureCode::RequestInvalid, "what runs here has to be in the Docker Engine");
        return Err(failure
            .hint("leave out `--image-backend assembler`, or use `slipway build --output type=docker,dest=FILE`"));
    };
    let format = flags.format.format;
    let progress = Progress::new(format, cli.quiet, cli.verbose);
    let report =
        pipeline::run(&services, &request, &Delivery::default(), &|event| progress.event(&event), cancel).await;
    progress.done();
    match format {
        FormatKind::Text if cli.quiet => {}
        FormatKind::Text => explain::warnings(&report.warnings),
        FormatKind::Json | FormatKind::Jsonl => build::print(&report, format, cli.quiet)?,
    }
    if let Some(failure) = &report.failure {
        if format == FormatKind::Text {
            explain::to_stderr(failure);
        }
        return Ok(exit_code(failure));
    }
    let Some(image) = report.image else {
        return Ok(ended(&Failure::new(FailureCode::Internal, "the build gave no image")));
    };
    let to_stderr = |line: &str| anstream::eprintln!("{line}");
    let to_stdout = |line: &str| anstream::println!("{line}");
    let out: LogSink<'_> = if format == FormatKind::Text { &to_stdout } else { &to_stderr };
    let code = match engine.run(&report.id, &image.digest, out, &to_stderr, cancel).await {
        Ok(code) => code,
        Err(failure) => return Ok(ended(&failure)),
    };
    // Who stops it by Ctrl-C wants no verdict on how it ended.
    let code = if cancel.is_cancelled() { CANCELLED } else { u8::try_from(code).unwrap_or(1) };
    Ok(ExitCode::from(code))
}

/// A failure after the report.
fn ended(failure: &Failure) -> ExitCode {
    explain::to_stderr(failure);
    exit_code(failure)
}
