//! The bridge network of builds.

use slipway::process::{Program, capture};

use super::*;

#[tokio::test]
async fn the_bridge_reaches_no_link_local_address() {
    container().await;
    let scratch = tempfile::tempdir().unwrap();
    let network = format!("slipway-t{}", std::process::id() % 100_000);
    let settings = Settings { network: network.clone(), ..Settings::new(scratch.path()) };
    let runner = Runner::Container(Box::new(Sandbox::new(docker().await, settings).unwrap()));
    let (mut command, _workspace) = shell("ls /sys/class/net; nc -w 10 169.254.169.254 80 < /dev/null; true");
    command.network = Network::Bridge;
    let ran = run(&runner, &command).await;

    let rule = ["-w", "-D", "DOCKER-USER", "-i", &network, "-d", "169.254.0.0/16", "-j", "REJECT"];
    let removed = capture(&Program::new("iptables", rule), &CancellationToken::new()).await;
    docker().await.remove_network(&network).await.unwrap();

    assert_eq!(ran.exit, Ok(Exit::Code(0)));
    assert!(ran.texts().contains(&"eth0"), "{:?}", ran.texts());
    if rustix::process::geteuid().is_root() {
        assert!(removed.unwrap().success(), "root adds the rule");
        assert!(ran.texts().iter().any(|line| line.contains("refused")), "{:?}", ran.texts());
    }
}
