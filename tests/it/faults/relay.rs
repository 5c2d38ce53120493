//! The way from workers to the broker, which can hold back acknowledgements: so a worker is caught between its report
//! and its acknowledgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What a connection has sent that takes builds.
const TAKES_BUILDS: &[u8] = b"slipway.builds.";

/// The relay; clones share its state.
#[derive(Debug, Clone, Default)]
pub(super) struct Relay {
    holds: Arc<AtomicBool>,
}

impl Relay {
    /// Begins to pass on from one port to another, in the current runtime.
    pub(super) async fn start(from: u16, to: u16) -> Self {
        let relay = Self::default();
        let listener = TcpListener::bind(("127.0.0.1", from)).await.unwrap();
        let serving = relay.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let relay = serving.clone();
                tokio::spawn(async move { drop(relay.pass(client, to).await) });
            }
        });
        relay
    }

    /// From now on nothing that a connection sends which takes builds arrives, until [`Relay::release`].
    pub(super) fn hold_acknowledgements(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// Passes on again; connections that were held end.
    pub(super) fn release(&self) {
        self.holds.store(false, Ordering::SeqCst);
    }

    async fn pass(&self, client: TcpStream, to: u16) -> std::io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", to)).await?;
        let (mut from_server, to_server) = server.into_split();
        let (from_client, mut to_client) = client.into_split();
        tokio::select! {
            done = self.upwards(from_client, to_server) => done,
            done = copy(&mut from_server, &mut to_client) => done.map(drop),
        }
    }

    async fn upwards(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        let (mut takes_builds, mut buffer) = (false, vec![0; 64 << 10]);
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            takes_builds |= buffer[..read].windows(TAKES_BUILDS.len()).any(|window| window == TAKES_BUILDS);
            if takes_builds && self.holds.load(Ordering::SeqCst) {
                while self.holds.load(Ordering::SeqCst) {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                // What was held back is lost with its connection: whoever sent it may be dead by now.
                return Ok(());
            }
            to.write_all(&buffer[..read]).await?;
        }
    }
}
