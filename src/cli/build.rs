//! `slipway build`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args::{BuildFlags, Cli, FormatKind};
use super::progress::Progress;
use super::{exit_code, explain, print, request, setup};
use crate::image::Backend;
use crate::model::failure::{Failure, FailureCode};
use crate::model::report::{BuildReport, Outcome};
use crate::pipeline::{self, Delivery};

/// Builds, and prints the report: one on stdout for programs, whatever happened.
pub(super) async fn build(cli: &Cli, flags: &BuildFlags, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    ended(start(cli, flags, cancel).await, flags.common.format.format)
}

/// What programs read where it ended before there was a build to report on.
pub(super) fn ended(outcome: Result<ExitCode, Failure>, format: FormatKind) -> Result<ExitCode, Failure> {
    let (Err(failure), true) = (&outcome, format != FormatKind::Text) else { return outcome };
    let ended = match failure.code {
        FailureCode::Cancelled => Outcome::Cancelled,
        FailureCode::RequestInvalid => Outcome::Rejected,
        _ => Outcome::Failed,
    };
    print_data(&json!({ "version": 1, "outcome": ended, "failure": failure }), format)?;
    explain::to_stderr(failure);
    Ok(exit_code(failure))
}

async fn start(cli: &Cli, flags: &BuildFlags, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    let request = request::request(&flags.common, &flags.tag)?;
    let delivery = Delivery {
        push: flags.push,
        archive: flags.output.as_deref().map(archive).transpose()?,
        no_cache: flags.no_cache,
        deployed: false,
    };
    let layout = flags.output.as_deref().is_some_and(is_oci);
    let backend = setup::image_backend(cli, flags.common.image_backend, layout).await?;
    let runner = setup::runner(cli, flags.common.runner, &request.source).await?;
    let services = setup::services_for(cli, &request.source, Some(runner), Some(backend)).await?;
    if layout && matches!(services.backend, Backend::Docker(_)) {
        let message = "the Docker Engine writes no OCI image layout";
        return Err(Failure::new(FailureCode::RequestInvalid, message)
            .hint("add `--image-backend assembler`, or write `--output type=docker,dest=FILE`, or `type=oci`"));
    }
    let format = flags.common.format.format;
    let progress = Progress::new(format, cli.quiet, cli.verbose);
    let report = pipeline::run(&services, &request, &delivery, &|event| progress.event(&event), cancel).await;
    progress.done();
    print(&report, format, cli.quiet)?;
    Ok(report.failure.as_ref().map_or(ExitCode::SUCCESS, |failure| {
        if format == FormatKind::Text {
            explain::to_stderr(failure);
        }
        exit_code(failure)
    }))
}

/// Whether an OCI image layout is asked for; what Slipway assembles, is one in either case.
fn is_oci(output: &str) -> bool {
    output.split(',').any(|part| part == "type=oci")
}

/// The file of `type=docker,dest=FILE`.
fn archive(output: &str) -> Result<PathBuf, Failure> {
    let invalid = |why: &str| {
        Failure::new(FailureCode::RequestInvalid, format!("--output `{output}` {why}"))
            .hint("write `--output type=docker,dest=FILE`")
    };
    let (mut kind, mut dest) = (None, None);
    for part in output.split(',') {
        match part.split_once('=') {
            Some(("type", value)) => kind = Some(value),
            Some(("dest", value)) if !value.is_empty() => dest = Some(value),
            _ => return Err(invalid(&format!("has `{part}`, which is neither `type=` nor `dest=`"))),
        }
    }
    match (kind, dest) {
        (Some("docker" | "oci"), Some(dest)) => Ok(PathBuf::from(dest)),
        (Some("docker" | "oci"), None) => Err(invalid("has no `dest=`")),
        _ => Err(invalid("has a type other than `docker` and `oci`")),
    }
}

/// Prints a value as JSON: over many lines, or as one.
pub(super) fn print_data(value: &impl serde::Serialize, format: FormatKind) -> Result<(), Failure> {
    if format == FormatKind::Json {
        return print::json(value).map(drop);
    }
    let line = serde_json::to_string(value).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
    anstream::println!("{line}");
    Ok(())
}

/// Prints a report.
pub(super) fn print(report: &BuildReport, format: FormatKind, quiet: bool) -> Result<(), Failure> {
    match format {
        FormatKind::Json | FormatKind::Jsonl => print_data(report, format),
        FormatKind::Text => {
            if !quiet {
                explain::warnings(&report.warnings);
            }
            if let Some(library) = report.library.as_ref().filter(|_| report.failure.is_none()) {
                anstream::println!("{} in {}", library.coordinates, library.repository);
            }
            if let Some(image) = report.image.as_ref().filter(|_| report.failure.is_none()) {
                for reference in &image.references {
                    anstream::println!("{reference}");
                }
                anstream::println!("{}", image.digest);
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_names_type_and_file() {
        assert_eq!(archive("type=docker,dest=a.tar").unwrap(), PathBuf::from("a.tar"));
        for bad in ["", "a.tar", "type=podman,dest=a", "type=docker", "type=docker,dest=", "dest=a"] {
            assert_eq!(archive(bad).unwrap_err().code, FailureCode::RequestInvalid, "{bad}");
        }
    }
}
