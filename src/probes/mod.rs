//! What operators and their machines ask a worker: does it live, does it take work, what did it do.
//!
//! [`Probes::start`] answers `/livez`, `/readyz` and `/metrics`, and tells systemd the same ([`Notifier`]).

mod health;
mod notify;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::metrics::Metrics;
use crate::model::failure::{Failure, FailureCode};
pub use health::Health;
pub use notify::Notifier;

/// How often systemd is told of a change.
const TICK: Duration = Duration::from_secs(1);

/// The probes of a worker; they end with this value.
#[derive(Debug)]
pub struct Probes {
    address: Option<SocketAddr>,
    health: Health,
    notifier: Arc<Notifier>,
    tasks: Vec<JoinHandle<()>>,
}

impl Probes {
    /// Begins to answer at an address, if one is given, and to tell the service manager, if there is one.
    ///
    /// # Errors
    /// `configuration_invalid` where the address cannot be listened at or the manager's socket cannot be used.
    pub async fn start(listen: Option<SocketAddr>, health: Health, metrics: Arc<Metrics>) -> Result<Self, Failure> {
        let notifier = Notifier::of_environment().map_err(|error| {
            Failure::new(FailureCode::ConfigurationInvalid, format!("`NOTIFY_SOCKET` cannot be used: {error}"))
        })?;
        let notifier = Arc::new(notifier);
        let mut tasks = vec![tokio::spawn(tell(Arc::clone(&notifier), health.clone()))];
        let mut address = None;
        if let Some(listen) = listen {
            let unusable = |error: std::io::Error| {
                Failure::new(FailureCode::ConfigurationInvalid, format!("`{listen}` cannot be listened at: {error}"))
                    .hint("set `probes.listen` to a free port, or to an empty text for none")
            };
            let listener = TcpListener::bind(listen).await.map_err(unusable)?;
            address = Some(listener.local_addr().map_err(unusable)?);
            tasks.push(tokio::spawn(server::serve(listener, health.clone(), metrics)));
        }
        Ok(Self { address, health, notifier, tasks })
    }

    /// The worker takes its leave; the manager hears of it before the process may end.
    pub fn going(&self) {
        self.health.set_going();
        self.notifier.stopping();
    }

    /// Where they answer.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Tells the manager of every change, and that we live. This runs where builds run: a runtime that is stuck is silent.
async fn tell(notifier: Arc<Notifier>, health: Health) {
    let mut told: Option<Result<(), String>> = None;
    let mut announced = false;
    let tick = notifier.watchdog().map_or(TICK, |watchdog| (watchdog / 2).min(TICK));
    let mut interval = tokio::time::interval(tick);
    loop {
        interval.tick().await;
        let ready = health.ready();
        if told.as_ref() != Some(&ready) {
            match &ready {
                Ok(()) => notifier.status("taking builds"),
                Err(why) => notifier.status(&format!("not taking builds: {why}")),
            }
            if ready.is_ok() && !announced {
                notifier.ready();
                announced = true;
            }
            told = Some(ready);
        }
        if health.live().is_ok() {
            notifier.alive();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpStream, UnixDatagram};

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    }

    fn pair(status: &str, body: &str) -> (String, String) {
        (status.to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn the_port_says_what_is_so() {
        let (health, metrics) = (Health::default(), Arc::new(Metrics::new()));
        let here = Some(([127, 0, 0, 1], 0).into());
        let probes = Probes::start(here, health.clone(), Arc::clone(&metrics)).await.unwrap();
        let address = probes.address().unwrap();
        assert_eq!(get(address, "/livez").await, pair("200", "ok\n"));
        assert_eq!(get(address, "/readyz").await, pair("503", "it is starting\n"));
        health.set_ready(Ok(()));
        assert_eq!(get(address, "/readyz").await, pair("200", "ok\n"));
        metrics.retried();
        let (status, text) = get(address, "/metrics").await;
        assert_eq!(status, "200");
        assert!(text.contains("slipway_retries_total 1\n") && text.ends_with("# EOF\n"), "{text}");

        let failure = Probes::start(Some(address), health, metrics).await.unwrap_err();
        assert!(failure.message.contains(&address.to_string()) && failure.hint.contains("probes.listen"));
    }

    #[tokio::test]
    async fn the_manager_is_told_of_changes_and_of_life() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let health = Health::default();
        let notifier = Arc::new(Notifier::new(path.to_str(), Some(Duration::from_millis(40))).unwrap());
        let tasks = vec![tokio::spawn(tell(Arc::clone(&notifier), health.clone()))];
        let probes = Probes { address: None, health: health.clone(), notifier, tasks };
        let mut said = Vec::new();
        let mut buffer = [0; 256];
        while !said.iter().any(|message| message == "READY=1") {
            let length = manager.recv(&mut buffer).await.unwrap();
            said.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            if said.len() == 3 {
                health.set_ready(Ok(()));
            }
        }
        probes.going();
        while said.last().is_none_or(|message| message != "STOPPING=1") {
            let length = manager.recv(&mut buffer).await.unwrap();
            said.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        assert_eq!(said[..2], ["STATUS=not taking builds: it is starting", "WATCHDOG=1"]);
        assert!(said.contains(&"STATUS=taking builds".to_owned()), "{said:?}");
    }
}
