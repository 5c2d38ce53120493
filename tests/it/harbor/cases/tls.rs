//! 2.2: TLS ends at a proxy in front of Harbor, which may demand a certificate of its clients.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use super::super::builds::{config, push};
use super::super::ways::build;
use super::trade;
use crate::services::service;
use crate::support::harbor::Harbor;
use crate::support::private::certificate;
use crate::support::probe::until;
use crate::support::slipway::{PRODUCT_LINE, Slipway};

/// An nginx that ends TLS; it ends with the value.
pub(super) struct Proxy {
    process: Child,
    pub(super) address: String,
    pub(super) directory: tempfile::TempDir,
}

impl Proxy {
    /// Tells Harbor the host that was asked, and not that TLS was spoken.
    async fn start(harbor: &Harbor) -> Self {
        Self::at(service("SLIPWAY_TEST_BRIDGE"), harbor, "").await
    }

    /// One that demands a certificate of its own authority, such as `client.pem`.
    async fn demanding(harbor: &Harbor) -> Self {
        Self::at(service("SLIPWAY_TEST_BRIDGE"), harbor, "ssl_client_certificate ca.pem; ssl_verify_client on;").await
    }

    /// At an address of this machine, with more lines in its configuration.
    pub(super) async fn at(ip: &str, harbor: &Harbor, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        certificate(directory.path(), ip);
        leaf(directory.path(), ip, "leaf");
        leaf(directory.path(), ip, "client");
        let port = std::net::TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port();
        let address = format!("{ip}:{port}");
        let d = directory.path().display();
        let text = format!(
            "pid {d}/pid; daemon off; error_log stderr crit; worker_processes 1; events {{}}\n\
             http {{ access_log off; client_max_body_size 0; client_body_temp_path {d}/b; proxy_temp_path {d}/p;\n\
             fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;\n\
             server {{ listen {address} ssl; ssl_certificate {d}/leaf.pem; ssl_certificate_key {d}/leaf.key; {more}\n\
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
fn leaf(directory: &Path, address: &str, name: &str) {
    std::fs::write(directory.join("extensions"), format!("subjectAltName=IP:{address}\n")).unwrap();
    for line in [
        format!("req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"),
        format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey key.pem -CAcreateserial -days 2 -extfile extensions -out {name}.pem"
        ),
    ] {
        let made = Command::new("openssl").args(line.split(' ')).current_dir(directory).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGTERM lets the master end its workers.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
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

/// A site whose authority only `registry.copies` knows: the build's copy makes its project there, and so do promotions and
/// bundles, which find the account and the certificates by the host.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_with_an_authority_of_its_own_is_reached_by_all() {
    let (harbor, site) = (Harbor::start(), Harbor::start());
    harbor.project(PRODUCT_LINE);
    let robot = harbor.robot(PRODUCT_LINE, "push", &["repository:push", "repository:pull"]);
    let maker = site.system_robot("slipway", &["repository:push"], &["project:create"]);
    let proxy = Proxy::start(&site).await;
    let (d, host) = (proxy.directory.path().display(), &proxy.address);
    let slipway = config(
        &harbor,
        &robot,
        &format!(
            "[credentials.site]\nusername = {:?}\npassword = {{ env = \"SITE\" }}\nhosts = [{host:?}]\n\
             [[registry.copies]]\nhost = {host:?}\ncredentials = \"site\"\nca_bundle = \"{d}/ca.pem\"\nrequired = true\n\
             [registry.projects]\ncredentials = \"site\"\n[build]\nimage_backend = \"assembler\"\n",
            maker.0
        ),
    )
    .env("SITE", &maker.1);
    let run = push(&slipway, "1").await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    let tag = |name: &str, tag: &str| site.state().repository(name).and_then(|found| found.tags.get(tag).cloned());
    let digest = run.report["image"]["digest"].as_str().map(str::to_owned);
    assert_eq!(tag(&format!("{PRODUCT_LINE}/order"), "1"), digest);

    let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let line = format!("images promote {PRODUCT_LINE}/order:1 {host}/promoted/order:1");
    let promoted = slipway.run(&args(&line)).await;
    assert_eq!(promoted.code, 0, "{}", promoted.text());
    assert_eq!(tag("promoted/order", "1"), digest);
    let bundle = format!("{d}/all.tar");
    let export = slipway.run(&args(&format!("bundle export {PRODUCT_LINE}/order:1 -o {bundle}"))).await;
    assert_eq!(export.code, 0, "{}", export.text());
    site.state().projects.remove(PRODUCT_LINE);
    let import = slipway.run(&args(&format!("bundle import {bundle} --registry {host}"))).await;
    assert_eq!(import.code, 0, "{}", import.text());
    assert_eq!(tag(&format!("{PRODUCT_LINE}/order"), "1"), digest);
}

/// A Harbor behind a proxy that demands a certificate: base image, push, Harbor's API and promotion show it, and nothing
/// passes without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_demands_a_client_certificate_gets_it() {
    let (harbor, robot) = trade();
    build("assembler", 64).await.push(&harbor, &robot, &["trade/base:1"]).await.unwrap();
    let proxy = Proxy::demanding(&harbor).await;
    let (directory, host) = (proxy.directory.path(), &proxy.address);
    let source = directory.join("source");
    std::fs::create_dir_all(&source).unwrap();
    std::fs::write(source.join("Dockerfile"), format!("FROM {host}/trade/base:1\nCOPY Dockerfile /\n")).unwrap();
    let d = directory.display();
    let configured = |shown: &str| {
        let slipway = Slipway::new();
        slipway.replace_config(&format!(
            "[registry]\nhost = {host:?}\ncredentials = \"robot\"\n{shown}\n\
             [credentials.robot]\nusername = {:?}\npassword = {{ env = \"ROBOT\" }}\nhosts = [{host:?}]\n\
             [network]\nca_bundle = \"{d}/ca.pem\"\n[cache]\ndirectory = \"{d}/cache-{}\"\n\
             [build]\nown_dockerfiles = true\nimage_backend = \"assembler\"\nstart_check = {{ enabled = false }}\n",
            robot.0,
            shown.len()
        ));
        slipway.env("ROBOT", &robot.1)
    };
    let line = format!("build {} --push --format json --product-line trade --name order --tag 1", source.display());
    let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let shown =
        format!("[registry.client_certificates.{host:?}]\ncertificate = \"{d}/client.pem\"\nkey = \"{d}/client.key\"");
    let slipway = configured(&shown);
    let run = slipway.run(&args(&line)).await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    let promoted = slipway.run(&args("images promote trade/order:1 trade/order:2 --format json")).await;
    assert_eq!(promoted.code, 0, "{}", promoted.text());
    let tags = harbor.state().repository("trade/order").unwrap().tags.clone();
    assert!(tags["1"] == tags["2"] && run.report["image"]["digest"] == tags["1"].as_str(), "{tags:?}");
    assert!(harbor.requests().iter().any(|request| request.contains("/api/v2.0/")), "Harbor's API was asked");

    let without = configured("").run(&args(&line)).await;
    assert_eq!(without.failure_code(), "base_image_missing", "{}", without.text());
    let message = without.failure()["message"].as_str().unwrap();
    assert!(message.contains("`registry.client_certificates`"), "{}", without.text());
    let unreadable = configured(&shown.replace("client.key", "leaf.csr")).run(&args(&line)).await;
    assert_eq!(unreadable.failure_code(), "configuration_invalid", "{}", unreadable.text());
}
