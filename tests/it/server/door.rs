//! The way to a broker or a database, which can be shut: what is open breaks, and what is new is refused.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A door; it is open at first.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Door {
    /// Begins to pass on.
    pub(super) async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let open = watch::Sender::new(true);
        let state = open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (address, mut state) = (address.clone(), state.clone());
                tokio::spawn(async move {
                    if !*state.borrow_and_update() {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(address).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = state.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address: here, open }
    }

    /// Shuts it.
    pub(super) fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Opens it again.
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }
}
