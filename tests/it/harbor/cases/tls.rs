//! 2.2: TLS ends at a proxy in front of Harbor.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use super::super::ways::build;
use super::trade;
use crate::services::service;
use crate::support::harbor::Harbor;
use crate::support::private::certificate;
use crate::support::probe::until;

/// An nginx that ends TLS; it ends with the value.
struct Proxy {
    process: Child,
    address: String,
    directory: tempfile::TempDir,
}

impl Proxy {
    /// Tells Harbor the host that was asked, and not that TLS was spoken.
    async fn start(harbor: &Harbor) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bridge = service("SLIPWAY_TEST_BRIDGE");
        certificate(directory.path(), bridge);
        leaf(directory.path(), bridge);
        let port = std::net::TcpListener::bind((bridge, 0)).unwrap().local_addr().unwrap().port();
        let address = format!("{bridge}:{port}");
        let d = directory.path().display();
        let text = format!(
            "pid {d}/pid; daemon off; error_log stderr crit; worker_processes 1; events {{}}\n\
             http {{ access_log off; client_max_body_size 0; client_body_temp_path {d}/b; proxy_temp_path {d}/p;\n\
             fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;\n\
             server {{ listen {address} ssl; ssl_certificate {d}/leaf.pem; ssl_certificate_key {d}/leaf.key;\n\
             location / {{ proxy_pass http://{}; proxy_set_header Host $http_host; }} }} }}\n",
            harbor.host()
        );
        let configuration = directory.path().join("nginx.conf");
        std::fs::write(&configuration, text).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(directory.path()).args(["-e", "stderr", "-c"]).arg(&configuration);
        let process = nginx.spawn().expect("`nginx`: `make services` installs it");
        let proxy = Self { process, address, directory };
        let answers =
            || async { std::net::TcpStream::connect(&proxy.address).map(drop).map_err(|error| error.to_string()) };
        until(Duration::from_secs(20), answers, || async { true }).await.expect("nginx answers");
        proxy
    }
}

/// A certificate for an address, by the authority that is in the directory.
fn leaf(directory: &Path, address: &str) {
    std::fs::write(directory.join("extensions"), format!("subjectAltName=IP:{address}\n")).unwrap();
    for line in [
        "req -newkey rsa:2048 -nodes -subj /CN=harbor -keyout leaf.key -out leaf.csr",
        "x509 -req -in leaf.csr -CA ca.pem -CAkey key.pem -CAcreateserial -days 2 -extfile extensions -out leaf.pem",
    ] {
        let made = Command::new("openssl").args(line.split(' ')).current_dir(directory).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Harbor then names its token service and the places of uploads without TLS; they are asked with TLS all the same.
#[tokio::test(flavor = "multi_thread")]
async fn case_2_2_a_proxy_that_does_not_tell_of_tls() {
    let (harbor, robot) = trade();
    let proxy = Proxy::start(&harbor).await;
    let mut access = crate::support::harbor::access(&robot);
    access.ca_bundle = Some(std::fs::read(proxy.directory.path().join("ca.pem")).unwrap());
    let image = build("assembler", 3_000_000).await;
    let pushed = image.push_to(format!("{}/trade/order:1", proxy.address).parse().unwrap(), &access).await.unwrap();
    assert_eq!(harbor.state().repository("trade/order").unwrap().tags["1"], pushed.digest.to_string());
    access.credentials = Some(slipway::image::credentials::Credentials::password(&robot.0, "Wrong12345"));
    let failure =
        image.push_to(format!("{}/trade/order:2", proxy.address).parse().unwrap(), &access).await.unwrap_err();
    assert_eq!(failure.code, slipway::model::failure::FailureCode::RegistryUnauthorized, "{failure}");
}
