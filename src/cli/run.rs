//! `slipway run`: build, start with its ports, follow the log, remove on Ctrl-C.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::args::{Cli, Common};
use super::progress::Progress;
use super::{CANCELLED, exit_code, explain, request, setup};
use crate::model::failure::{Failure, FailureCode};
use crate::pipeline::{self, Delivery};

/// Builds and runs.
pub(super) async fn run(cli: &Cli, flags: &Common, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    let request = request::request(flags, &[])?;
    let services = setup::services_for(cli, &request.source, flags.runner, flags.image_backend).await?;
    let Some(engine) = services.backend.engine() else {
        let failure = Failure::new(FailureCode::RequestInvalid, "what runs here has to be in the Docker Engine");
        return Err(failure
            .hint("leave out `--image-backend assembler`, or use `slipway build --output type=docker,dest=FILE`"));
    };
    let progress = Progress::new(flags.format.format, cli.quiet, cli.verbose);
    let report =
        pipeline::run(&services, &request, &Delivery::default(), &|event| progress.event(&event), cancel).await;
    progress.done();
    explain::warnings(&report.warnings);
    if let Some(failure) = &report.failure {
        explain::to_stderr(failure);
        return Ok(exit_code(failure));
    }
    let image = report.image.ok_or_else(|| {
        Failure::new(FailureCode::RequestInvalid, "a library has nothing that runs")
            .hint("`slipway run` is for services")
    })?;
    let code = engine
        .run(
            &report.id,
            &image.digest,
            &|line| anstream::println!("{line}"),
            &|line| anstream::eprintln!("{line}"),
            cancel,
        )
        .await?;
    // Who stops it by Ctrl-C wants no verdict on how it ended.
    let code = if cancel.is_cancelled() { CANCELLED } else { u8::try_from(code).unwrap_or(1) };
    Ok(ExitCode::from(code))
}
