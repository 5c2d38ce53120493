//! `slipway plan`, which is also `build --dry-run`.

use std::process::ExitCode;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args::{Cli, Common, FormatKind};
use super::{build, exit_code, explain, request, setup};
use crate::model::failure::Failure;
use crate::model::plan::Plan;
use crate::model::request::RequestedSource;
use crate::pipeline::{self, source};
use crate::work::unless_cancelled;

/// Plans and prints.
pub(super) async fn plan(cli: &Cli, flags: &Common, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    let outcome = unless_cancelled(cancel, decide(cli, flags)).await;
    match (outcome, flags.format.format) {
        (Ok(plan), FormatKind::Text) => {
            anstream::print!("{}", crate::plan::print::text(&plan));
            Ok(ExitCode::SUCCESS)
        }
        (Ok(plan), format) => build::print_data(&plan, format).map(|()| ExitCode::SUCCESS),
        (Err(failure), FormatKind::Text) => Err(failure),
        (Err(failure), format) => {
            build::print_data(&json!({ "version": 1, "failure": failure }), format)?;
            explain::to_stderr(&failure);
            Ok(exit_code(&failure))
        }
    }
}

/// The plan of what the flags say.
pub(super) async fn decide(cli: &Cli, flags: &Common) -> Result<Plan, Failure> {
    let request = request::request(flags, &[])?;
    let read = async { setup::planning_for(cli, &request.source) };
    let (services, source) = match &request.source {
        // It is looked at while the catalogue is read: each takes as long as the other.
        RequestedSource::Directory { path, .. } => {
            let (looked, services) = tokio::join!(source::look(path), read);
            (services?, looked?)
        }
        RequestedSource::Repository(_) => {
            let services = read.await?;
            let source = source::fetch(&services, &request).await?;
            (services, source)
        }
    };
    pipeline::plan(&services, &request, &source).await
}
