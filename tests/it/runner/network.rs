//! The bridge network of builds.

use std::net::TcpListener;

use slipway::process::{Program, capture};

use super::*;

#[tokio::test]
async fn the_bridge_reaches_neither_link_local_addresses_nor_what_is_closed() {
    container().await;
    let scratch = tempfile::tempdir().unwrap();
    let network = format!("slipway-t{}", std::process::id() % 100_000);
    // The test services listen on this machine's address of the Engine's own bridge.
    let url = crate::services::service("SLIPWAY_TEST_BRIDGE_MAVEN");
    let (address, port) = url.split('/').nth(2).unwrap().split_once(':').unwrap();
    let open = TcpListener::bind((address, 0)).unwrap();
    let (open, listener) = (open.local_addr().unwrap().port(), open);
    // Whoever enters is let go at once.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    // A service of this machine's that is named by its loopback address and listens on all.
    let everywhere = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let own = everywhere.local_addr().unwrap().port();
    std::thread::spawn(move || everywhere.incoming().for_each(drop));
    let closed = vec![format!("{address}:{port}"), format!("127.0.0.1:{own}")];
    let settings = Settings { network: network.clone(), closed, ..Settings::new(scratch.path()) };
    let runner = Runner::Container(Box::new(Sandbox::new(docker().await, settings).unwrap()));
    let (mut command, _workspace) = shell(&format!(
        "ls /sys/class/net; nc -w 10 169.254.169.254 80 < /dev/null; nc -w 10 {address} {port} < /dev/null && echo entered; \
         nc -w 10 {address} {own} < /dev/null && echo own; nc -w 10 {address} {open} < /dev/null && echo open; true"
    ));
    command.network = Network::Bridge;
    let ran = run(&runner, &command).await;

    let to = ["-d", address, "-p", "tcp", "--dport", port];
    let rules = ["DOCKER-USER", "INPUT"].map(|chain| [vec!["-d", "169.254.0.0/16"], to.to_vec()].map(|to| (chain, to)));
    let own = own.to_string();
    let by_port = ("INPUT", vec!["-p", "tcp", "--dport", &own]);
    let mut removed = Vec::new();
    for (chain, to) in rules.into_iter().flatten().chain([by_port]) {
        let rule = ["-w", "-D", chain, "-i", &network].into_iter().chain(to).chain(["-j", "REJECT"]);
        removed.push(capture(&Program::new("iptables", rule), &CancellationToken::new()).await);
    }
    docker().await.remove_network(&network).await.unwrap();

    assert_eq!(ran.exit, Ok(Exit::Code(0)));
    assert!(ran.texts().contains(&"eth0"), "{:?}", ran.texts());
    if rustix::process::geteuid().is_root() {
        assert!(removed.into_iter().all(|removed| removed.unwrap().success()), "root adds the rules");
        assert!(ran.texts().iter().any(|line| line.contains("refused")), "{:?}", ran.texts());
        assert!(!ran.texts().contains(&"entered"), "{:?}", ran.texts());
        assert!(!ran.texts().contains(&"own"), "{:?}", ran.texts());
    }
    assert!(ran.texts().contains(&"open"), "{:?}", ran.texts());
}
