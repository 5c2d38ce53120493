//! How the program is stopped.

use std::io::Write as _;

use tokio_util::sync::CancellationToken;

use super::CANCELLED;
use crate::environment;
use crate::process;

/// Cancels on Ctrl-C, SIGTERM and a terminal that is closed; a second Ctrl-C ends the program at once, with its commands.
pub(super) async fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    // Whoever started it by `nohup` wants it to outlive the terminal, and listening would undo that.
    let outlives = environment::ignores_hang_up();
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut hang_up = if outlives { None } else { signal(SignalKind::hangup()).ok() };
    let closed = async {
        match &mut hang_up {
            Some(hang_up) => hang_up.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = closed => {}
    }
    cancel.cancel();
    // Nobody may be there to read it any more, which is no reason to stop stopping.
    let _ = writeln!(anstream::stderr(), "stopping; once more to stop at once");
    interrupt.recv().await;
    // No step is waited for, so nobody else would end what it runs.
    let _ = tokio::task::spawn_blocking(process::kill_all).await;
    std::process::exit(CANCELLED.into());
}
