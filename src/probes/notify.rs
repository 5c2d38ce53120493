//! What systemd is told of a service of `Type=notify` (`sd_notify(3)`): datagrams on the socket that it names.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The one that `NOTIFY_SOCKET` names, and how often `WATCHDOG_USEC` wants to hear of us.
    ///
    /// # Errors
    /// Where the socket is named but cannot be used.
    pub fn of_environment() -> io::Result<Self> {
        let socket = crate::environment::variable("NOTIFY_SOCKET");
        let ours = crate::environment::variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = crate::environment::variable("WATCHDOG_USEC").filter(|_| ours);
        Self::new(socket.as_deref(), micros.and_then(|micros| micros.parse().ok()).map(Duration::from_micros))
    }

    /// A notifier of a socket's path, or of an abstract name behind `@`.
    ///
    /// # Errors
    /// Where it cannot be used.
    pub fn new(socket: Option<&str>, watchdog: Option<Duration>) -> io::Result<Self> {
        let open = |name: &str| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(name),
            }?;
            let socket = UnixDatagram::unbound()?;
            // A manager that does not read must not stop the worker.
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>((socket, address))
        };
        Ok(Self { socket: socket.map(open).transpose()?, watchdog })
    }

    /// Work is taken from now on.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// No more work is taken.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace(['\n', '\r'], " ")));
    }

    /// How long the manager waits for a sign of life before it kills.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.socket.as_ref().and(self.watchdog)
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(message, %error, "systemd cannot be told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn the_manager_hears_what_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.to_str(), Some(Duration::from_secs(30))).unwrap();
        assert_eq!(notifier.watchdog(), Some(Duration::from_secs(30)));
        notifier.ready();
        notifier.status("two\nlines");
        notifier.alive();
        notifier.stopping();
        let all: Vec<_> = (0..4).map(|_| received(&manager)).collect();
        assert_eq!(all, ["READY=1", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1"]);
    }

    #[test]
    fn an_abstract_socket_is_one_too() {
        let name = format!("slipway-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::new(Some(&format!("@{name}")), None).unwrap().ready();
        assert_eq!(received(&manager), "READY=1");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let notifier = Notifier::new(None, Some(Duration::from_secs(30))).unwrap();
        notifier.ready();
        assert_eq!(notifier.watchdog(), None);
    }
}
