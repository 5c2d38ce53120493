//! An operator's settings with a secret in each place, and builds with them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::outcome::{Outcome, percent};
use crate::services::service;
use crate::support::private::{PrivatePackages, USER};
use crate::support::slipway::{PRODUCT_LINE, Slipway};

/// Where secrets are planted. Git and the registry share the account of the test services.
const PLACES: &[&str] = &["simple", "go", "maven", "settings", "proxy", "ca-key"];

/// The operator's configuration with a secret in each place, and the server that asks for them.
pub(super) struct Planted {
    directory: tempfile::TempDir,
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) server: PrivatePackages,
    pub(super) cache: String,
}

impl Planted {
    pub(super) async fn new() -> Self {
        let mut secrets = BTreeMap::new();
        for place in PLACES {
            // With characters that every encoding changes.
            let unique = uuid::Uuid::now_v7().simple().to_string();
            secrets.insert((*place).to_owned(), format!("{place}+{unique}/a&b=?"));
        }
        secrets.insert("services".to_owned(), service("SLIPWAY_TEST_PASSWORD").to_owned());
        let simple = secrets["simple"].clone();
        let passwords =
            [("simple", &*simple), ("extra", &*simple), ("go", &*secrets["go"]), ("maven", &*secrets["maven"])];
        let server = PrivatePackages::start(&passwords).await;
        let directory = tempfile::tempdir().unwrap();
        let cache = format!("{}/slipway-cache", env!("CARGO_TARGET_TMPDIR"));
        let planted = Self { directory, secrets, server, cache };
        planted.write("settings.xml", &format!(
            "<settings><servers><server><id>nexus</id><username>{USER}</username><password>{}</password></server></servers></settings>",
            planted.secrets["settings"].replace('&', "&amp;")
        ));
        let bundle = std::fs::read_to_string(planted.server.ca_bundle()).unwrap();
        let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", planted.secrets["ca-key"]);
        planted.write("bundle.pem", &format!("{key}{bundle}"));
        for (place, secret) in &planted.secrets {
            planted.write(place, secret);
        }
        planted
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn config(&self) -> String {
        let (server, registry) = (&self.server, service("SLIPWAY_TEST_REGISTRY"));
        let git = service("SLIPWAY_TEST_GIT_PRIVATE").split('/').nth(2).unwrap();
        let at = |name: &str| self.directory.path().join(name).display().to_string();
        let mut text = format!(
            "[registry]\nhost = {registry:?}\ncredentials = \"services\"\n\
             [cache]\ndirectory = {cache:?}\n\
             [network]\nca_bundle = {bundle:?}\nhttp_proxy = \"http://{USER}:{proxy}@127.0.0.1:9\"\n\
             no_proxy = \"127.0.0.1,{address}\"\n\
             [mirrors]\nmaven_settings = {settings:?}\n\
             maven_deploy = {{ url = {maven:?}, credentials = \"maven\" }}\n\
             python_index = {{ url = {simple:?}, credentials = \"simple\" }}\n\
             python_extra_indexes = [{{ url = {extra:?}, credentials = \"simple\" }}]\n\
             go_proxy = {{ url = {go:?}, credentials = \"go\" }}\ngo_no_sumdb = [\"example.com/*\"]\n",
            cache = self.cache,
            bundle = at("bundle.pem"),
            settings = at("settings.xml"),
            proxy = percent(&self.secrets["proxy"]),
            address = service("SLIPWAY_TEST_BRIDGE"),
            maven = server.url("maven"),
            simple = server.url("simple"),
            extra = server.url("extra"),
            go = server.url("go"),
        );
        for name in ["simple", "go", "maven", "services"] {
            let user = if name == "services" { service("SLIPWAY_TEST_USER") } else { USER };
            let _ = write!(
                text,
                "[credentials.{name}]\nusername = {user:?}\npassword = {{ file = {:?} }}\n\
                 hosts = [{:?}, {registry:?}, {git:?}]\nproduct_lines = [{PRODUCT_LINE:?}]\n",
                at(name),
                server.host(),
            );
        }
        text
    }

    /// Builds and pushes; gives everything that came out, by where.
    pub(super) async fn build(&self, source: &str, args: &[&str]) -> Outcome {
        let mut all = ["build", "-vv", "--format", "jsonl", "--product-line", PRODUCT_LINE].map(str::to_owned).to_vec();
        all.extend((!args.contains(&"--untrusted")).then(|| "--push".to_owned()));
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        all.push(source.to_owned());
        let slipway = Slipway::new();
        let mut command = slipway.command(&all);
        slipway.replace_config(&self.config());
        let output = command.output().await.unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let report: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap_or("null")).unwrap();
        let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        found.insert("standard error".to_owned(), output.stderr);
        found.insert("events and report".to_owned(), stdout.into_bytes());
        Outcome { report, found }
    }
}
