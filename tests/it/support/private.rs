//! A package server of the test's own, over TLS and with a password for each part: a Python index, a Go proxy, a Maven
//! repository that takes deployments.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::services::service;
use crate::support::probe::until;

/// A running server; stopped when the test ends.
pub(crate) struct PrivatePackages {
    directory: tempfile::TempDir,
    port: u16,
    nginx: Child,
}

/// The account of every part.
pub(crate) const USER: &str = "ada";

impl PrivatePackages {
    /// Starts the server. `passwords` by part: `simple`, `extra`, `go`, `maven`.
    pub(crate) async fn start(passwords: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        for part in ["simple", "extra", "go", "maven", "tmp"] {
            std::fs::create_dir_all(root.join(part)).unwrap();
        }
        wheel(&root, "simple", "slipway-private");
        wheel(&root, "extra", "slipway-extra");
        module(&root.join("go/example.com/private/@v"));
        let address = service("SLIPWAY_TEST_BRIDGE");
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        certificate(directory.path(), address);
        for (part, password) in passwords {
            let mut made =
                Command::new("htpasswd").args(["-in", USER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let made = made.as_mut().expect("`htpasswd`: install `apache2-utils`");
            made.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut made.stdout.take().unwrap(), &mut text).unwrap();
            assert!(made.wait().unwrap().success());
            std::fs::write(directory.path().join(format!("{part}.htpasswd")), text).unwrap();
        }
        let configuration = directory.path().join("nginx.conf");
        std::fs::write(&configuration, configured(directory.path(), address, port, passwords)).unwrap();
        let nginx = Command::new("nginx")
            .arg("-p")
            .arg(directory.path())
            .args(["-e", "stderr", "-c"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .spawn()
            .expect("`nginx`: `make services` installs it");
        let server = Self { directory, port, nginx };
        let answers =
            || async { std::net::TcpStream::connect((address, port)).map(drop).map_err(|error| error.to_string()) };
        until(Duration::from_secs(20), answers, || async { true }).await.expect("nginx answers");
        server
    }

    /// The URL of a part.
    pub(crate) fn url(&self, part: &str) -> String {
        format!("https://{}/{part}", self.host())
    }

    /// Address and port.
    pub(crate) fn host(&self) -> String {
        format!("{}:{}", service("SLIPWAY_TEST_BRIDGE"), self.port)
    }

    /// The machine's certificate authorities and the server's own.
    pub(crate) fn ca_bundle(&self) -> PathBuf {
        self.directory.path().join("bundle.pem")
    }

    /// A file that the server has.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }
}

impl Drop for PrivatePackages {
    fn drop(&mut self) {
        // SIGTERM lets the master end its workers.
        let _ = Command::new("kill").arg(self.nginx.id().to_string()).status();
        let _ = self.nginx.wait();
    }
}

fn configured(directory: &Path, address: &str, port: u16, passwords: &[(&str, &str)]) -> String {
    let d = directory.display();
    let mut locations = String::new();
    for (part, _) in passwords {
        let dav =
            if *part == "maven" { "dav_methods PUT DELETE; create_full_put_path on; dav_access user:rw;" } else { "" };
        let _ = writeln!(
            locations,
            "location /{part}/ {{ auth_basic {part}; auth_basic_user_file {d}/{part}.htpasswd; {dav} }}"
        );
    }
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; {user} pid {d}/nginx.pid; error_log stderr crit; events {{}}\n\
         http {{ access_log off; types {{ text/html html; }} default_type application/octet-stream;\n\
         client_max_body_size 0; client_body_temp_path {d}/root/tmp/body; proxy_temp_path {d}/root/tmp/proxy;\n\
         fastcgi_temp_path {d}/root/tmp/f; uwsgi_temp_path {d}/root/tmp/u; scgi_temp_path {d}/root/tmp/s;\n\
         server {{ listen {address}:{port} ssl; ssl_certificate {d}/ca.pem; ssl_certificate_key {d}/key.pem;\n\
         root {d}/root; index index.html;\n{locations} }} }}\n"
    )
}

pub(crate) fn certificate(directory: &Path, address: &str) {
    let (key, ca) = (directory.join("key.pem"), directory.join("ca.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=slipway-private"])
        .args(["-addext", &format!("subjectAltName=IP:{address}"), "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(&ca)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let system = slipway::environment::ca_bundle().expect("the machine has certificate authorities");
    let mut bundle = std::fs::read_to_string(system).unwrap();
    bundle.push_str(&std::fs::read_to_string(ca).unwrap());
    std::fs::write(directory.join("bundle.pem"), bundle).unwrap();
}

/// A wheel (Python's binary distribution format) and its page in a simple index.
fn wheel(root: &Path, index: &str, name: &str) {
    let module = name.replace('-', "_");
    let file = format!("{module}-1.0-py3-none-any.whl");
    let page = root.join(index).join(name);
    std::fs::create_dir_all(&page).unwrap();
    std::fs::write(
        page.join("index.html"),
        format!("<!DOCTYPE html><html><body><a href=\"{file}\">{file}</a></body></html>"),
    )
    .unwrap();
    let info = format!("{module}-1.0.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    let tags = "Wheel-Version: 1.0\nGenerator: slipway-test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let record = format!("{module}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n");
    archive(
        &page.join(file),
        &[
            (&format!("{module}/__init__.py"), "VALUE = 'private'\n"),
            (&format!("{info}/METADATA"), &metadata),
            (&format!("{info}/WHEEL"), tags),
            (&format!("{info}/RECORD"), &record),
        ],
    );
}

/// A module as a Go proxy serves it (Go Modules Reference, "GOPROXY protocol").
fn module(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    let manifest = "module example.com/private\n\ngo 1.20\n";
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
    write("list", "v1.0.0\n");
    write("v1.0.0.info", "{\"Version\":\"v1.0.0\",\"Time\":\"2026-01-01T00:00:00Z\"}");
    write("v1.0.0.mod", manifest);
    let prefix = "example.com/private@v1.0.0";
    archive(
        &directory.join("v1.0.0.zip"),
        &[
            (&format!("{prefix}/go.mod"), manifest),
            (&format!("{prefix}/private.go"), "package private\n\nfunc Value() string { return \"private\" }\n"),
        ],
    );
}

fn archive(path: &Path, files: &[(&str, &str)]) {
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, text) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
}
