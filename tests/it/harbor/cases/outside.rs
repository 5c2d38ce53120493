//! A registry outside, at an address of no local network, that sends to a name of this machine.

use std::net::{TcpListener, ToSocketAddrs as _};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt as _;

use super::super::ways::build;
use super::tls::Proxy;
use crate::support::harbor::{ADMIN, Harbor};
use crate::support::slipway::{Run, Slipway};

/// An address of this machine that is of no local network (RFC 5737), for as long as the value lives: the one that the
/// Engine gives the machine in a network of its own.
struct Public {
    network: String,
    address: String,
}

impl Public {
    fn new() -> Self {
        let network = format!("slipway-test-outside-{}", std::process::id());
        for block in 0..16 {
            let (first, address) = (block * 16, format!("203.0.113.{}", block * 16 + 1));
            let subnet = format!("203.0.113.{first}/28");
            let made = Command::new("docker")
                .args(["network", "create", "--subnet", &subnet, "--gateway", &address, &network])
                .output()
                .unwrap();
            if made.status.success() {
                return Self { network, address };
            }
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            // Another run of the tests has it.
            assert!(said.contains("overlap"), "{said}");
        }
        panic!("no network can be made");
    }
}

impl Drop for Public {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["network", "rm", &self.network]).output();
    }
}

/// A name of this machine that does not look like one.
fn own_name() -> String {
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let known =
        |name: &String| (name.as_str(), 1).to_socket_addrs().is_ok_and(|mut found| found.any(|at| is_own(at.ip())));
    let names = [own, "ip6-localhost".to_owned(), "localhost.localdomain".to_owned()];
    names.into_iter().find(known).expect("`/etc/hosts` gives this machine a name")
}

fn is_own(address: std::net::IpAddr) -> bool {
    address.is_loopback() || matches!(address, std::net::IpAddr::V4(v4) if v4.is_private())
}

/// Somebody of the local network, who counts who comes and answers nobody.
struct Neighbour {
    port: u16,
    came: Arc<AtomicUsize>,
}

impl Neighbour {
    fn new() -> Self {
        let listener = TcpListener::bind("[::]:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let neighbour = Self { port: listener.local_addr().unwrap().port(), came: Arc::default() };
        let came = Arc::clone(&neighbour.came);
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move {
            while let Ok(visitor) = listener.accept().await {
                came.fetch_add(1, Ordering::SeqCst);
                drop(visitor);
            }
        });
        neighbour
    }

    /// How many have come since this was asked last.
    async fn visits(&self) -> usize {
        // Who comes last is the last to be sent away.
        let mut own = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let _ = own.read(&mut [0]).await;
        self.came.swap(0, Ordering::SeqCst) - 1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_leads_from_a_registry_outside_to_a_neighbour() {
    let harbor = Harbor::start();
    let admin = (ADMIN.0.to_owned(), ADMIN.1.to_owned());
    let images = ["stays:1", "sends-m:1", "sends-b:1", "sends-t:1"];
    let names = images.map(|image| format!("library/{image}"));
    build("assembler", 64).await.push(&harbor, &admin, &names.each_ref().map(String::as_str)).await.unwrap();
    let (neighbour, name) = (Neighbour::new(), own_name());
    let inside = format!("https://{name}:{}", neighbour.port);
    let public = Public::new();
    let more = format!(
        "location /v2/library/sends-m/manifests/ {{ return 307 {inside}/x; }}\n\
         location /v2/library/sends-b/blobs/ {{ return 307 {inside}/x; }}\n\
         location /v2/library/sends-t/ {{ add_header WWW-Authenticate 'Bearer realm=\"{inside}/x\"' always; return 401; }}\n"
    );
    let outside = Proxy::at(&public.address, &harbor, &more).await;
    let (host, d) = (&outside.address, outside.directory.path().display());
    let run = async |image: &str, hosts: &[&str]| -> Run {
        let slipway = Slipway::new();
        slipway.replace_config(&format!(
            "[registry]\nhost = {own:?}\ncredentials = \"admin\"\n\
             [credentials.admin]\nusername = {:?}\npassword = {{ env = \"ADMIN\" }}\nhosts = [{own:?}]\n\
             [credentials.others]\nusername = \"nobody\"\npassword = {{ env = \"ADMIN\" }}\nhosts = {hosts:?}\n\
             [network]\nca_bundle = \"{d}/ca.pem\"\n",
            ADMIN.0,
            own = harbor.host()
        ));
        let slipway = slipway.env("ADMIN", ADMIN.1).env("NO_PROXY", "*").env("no_proxy", "*");
        let line = format!("images promote {host}/library/{image} library/promoted-{image} --format json");
        slipway.run(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).await
    };
    let good = run(images[0], &[]).await;
    assert_eq!(good.code, 0, "{}", good.text());
    for sending in &images[1..] {
        let refused = run(sending, &[]).await;
        assert_eq!(neighbour.visits().await, 0, "{sending}: {}", refused.text());
        assert_ne!(refused.code, 0, "{sending}");
        let said = format!("`{name}`, that is in the local network");
        assert!(refused.stderr.contains(&said), "{sending}: {}", refused.text());
        // What the operator names may be wherever it is.
        let followed = run(sending, &[&name]).await;
        assert!(neighbour.visits().await > 0, "{sending}: nobody came, {}", followed.text());
    }
}
