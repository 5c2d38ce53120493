//! `slipway server`: the same signals as a worker's; and a new admin token.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::watch;

use super::args::Cli;
use super::setup;
use super::worker::{Role, Signals};
use crate::model::failure::Failure;
use crate::worker::Going;

/// Serves until a signal says otherwise.
pub(super) async fn server(cli: &Cli) -> Result<ExitCode, Failure> {
    let signals = Signals::new()?;
    // With a broker, workers build, and nothing is needed here that builds.
    let remote = setup::config(cli)?.amqp.url.is_some();
    let (role, services) = if remote {
        (Role::Sender, setup::planning(cli)?)
    } else {
        (Role::Server, setup::services(cli, None, None).await?)
    };
    let (sender, receiver) = watch::channel(Arc::new(services));
    let going = Going::default();
    tokio::select! {
        ended = crate::server::run(receiver, going.clone()) => ended.map(|()| ExitCode::SUCCESS),
        () = signals.attend(cli, role, &sender, &going) => Ok(ExitCode::SUCCESS),
    }
}

/// Whoever may read the database may do everything anyway.
pub(super) async fn new_admin_token(cli: &Cli) -> Result<ExitCode, Failure> {
    let token = crate::server::new_admin_token(&setup::config(cli)?).await?;
    anstream::println!("{token}");
    Ok(ExitCode::SUCCESS)
}
