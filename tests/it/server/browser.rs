//! A Chromium without a window, driven as the W3C's `WebDriver` says, by Debian's `chromedriver`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A browser with a profile of its own; it goes with the value.
pub(super) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    http: reqwest::Client,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it.
    pub(super) async fn start() -> Self {
        let mut command = Command::new("chromedriver");
        let spawned = command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = spawned.expect("`chromedriver` starts; `make services` installs it");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port =
            lines.find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok());
        let profile = tempfile::tempdir().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let port = port.expect("`chromedriver` says its port");
        let mut browser = Self { driver, port, session: String::new(), http, profile };
        let options = json!({
            // As root and in containers, Chromium cannot lock itself in.
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
                format!("--user-data-dir={}", browser.profile.path().display())],
        });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let made = browser.call("POST", "", json!({ "capabilities": { "alwaysMatch": wanted } })).await;
        made["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser
    }

    async fn call(&self, method: &str, command: &str, body: Value) -> Value {
        let session = if self.session.is_empty() { String::new() } else { format!("/{}", self.session) };
        let url = format!("http://127.0.0.1:{}/session{session}{command}", self.port);
        let mut request = self.http.request(method.parse().unwrap(), url);
        if method == "POST" {
            request = request.body(body.to_string());
        }
        let text = request.send().await.unwrap().text().await.unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["value"]["error"].is_null(), "{command}: {:#}", answer["value"]);
        answer["value"].take()
    }

    /// Opens a page, and waits until it is loaded.
    pub(super) async fn go(&self, url: &str) {
        self.call("POST", "/url", json!({ "url": url })).await;
    }

    /// Runs a script's function body in the page, and gives what it returns; a promise is waited for.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression is true in the page.
    pub(super) async fn until(&self, expression: &str) {
        let became = async {
            // While a page is left for the next, there is nobody to ask.
            while self.run(&format!("return Boolean({expression})")).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let became = tokio::time::timeout(PATIENCE, became).await;
        assert!(became.is_ok(), "`{expression}` never is true");
    }

    /// As a person who likes it dark or light, with a screen of this width.
    pub(super) async fn looks(&self, scheme: &str, width: u32, height: u32) {
        let cdp = async |command: &str, parameters: Value| {
            self.call("POST", "/goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
        };
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        cdp("Emulation.setDeviceMetricsOverride", screen).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// What the console was told of failures since it was last asked.
    pub(super) async fn console(&self) -> Vec<String> {
        let said = self.call("POST", "/se/log", json!({ "type": "browser" })).await;
        let failures = said.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        failures.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Keeps a picture of what is seen, below the build's directory.
    pub(super) async fn picture(&self, name: &str) -> PathBuf {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&directory).unwrap();
        let picture = self.call("GET", "/screenshot", Value::Null).await;
        let path = directory.join(format!("{name}.png"));
        std::fs::write(&path, STANDARD.decode(picture.as_str().unwrap()).unwrap()).unwrap();
        path
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver leaves its browser behind when it is killed; asked, it ends it.
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let head =
                format!("DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", self.session);
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
