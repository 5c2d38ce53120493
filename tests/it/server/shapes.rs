//! The two shapes of a server, for tests that have to pass with either.

use std::ops::Deref;

use super::door::Door;
use super::grown::{Database, site};
use super::site::Site;
use crate::support::fleet::{Fleet, Worker};

/// A site and what has to be there for it.
pub(super) struct Place {
    site: Site,
    _beside: Option<Beside>,
}

/// What a server has beside it when it is grown up; a worker goes before its broker.
struct Beside {
    _worker: Worker,
    _doors: [Door; 2],
    _fleet: Fleet,
    _database: Database,
}

impl Place {
    /// `SQLite`, and builds in the server's own process.
    pub(super) async fn alone() -> Self {
        Self { site: Site::new(&[]).await, _beside: None }
    }

    /// `PostgreSQL`, and builds by a worker behind `RabbitMQ`, with the same configuration.
    pub(super) async fn grown_up() -> Self {
        let (fleet, database) = (Fleet::new(&[]).await, Database::new().await);
        let (site, broker, history) = site(&fleet, &database).await;
        let directory = site.state.path().join("worker").display().to_string();
        let worker = fleet.worker_as(&site.slipway, &[("WORKER__DIRECTORY", &directory), ("PROBES__LISTEN", "")]).await;
        let beside = Beside { _worker: worker, _doors: [broker, history], _fleet: fleet, _database: database };
        Self { site, _beside: Some(beside) }
    }
}

impl Deref for Place {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// Makes a test of each flow for each shape: `async fn(Place)`.
macro_rules! in_both_shapes {
    ($($flow:ident),* $(,)?) => {
        mod alone {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $flow() {
                super::$flow(super::Place::alone().await).await;
            })*
        }

        mod grown_up {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $flow() {
                super::$flow(super::Place::grown_up().await).await;
            })*
        }
    };
}

pub(super) use in_both_shapes;
