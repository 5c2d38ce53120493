//! Everything that came out of a build, and the search for secrets in it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Everything that came out of a build.
pub(super) struct Outcome {
    pub(super) report: serde_json::Value,
    pub(super) found: BTreeMap<String, Vec<u8>>,
}

impl Outcome {
    #[track_caller]
    pub(super) fn succeeded(&self) {
        let said = String::from_utf8_lossy(&self.found["standard error"]);
        assert_eq!(self.report["outcome"], "succeeded", "{:#}\n{said}", self.report);
    }

    /// Adds the image: its configuration, its history, and every file of the layers above its base.
    pub(super) fn with_image(mut self) -> Self {
        let reference = self.report["image"]["references"][0].as_str().expect("there is an image").to_owned();
        let docker = |args: &[&str]| {
            let output = Command::new("docker").args(args).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        self.found.insert("image configuration".to_owned(), docker(&["image", "inspect", &reference]));
        self.found.insert("history".to_owned(), docker(&["image", "history", "--no-trunc", &reference]));
        let dockerfile = self.report["dockerfile"].as_str().unwrap_or_default();
        self.found.insert("Dockerfile".to_owned(), dockerfile.as_bytes().to_vec());
        let base = self.report["image"]["base"].as_str().unwrap();
        let layers = |image: &str| -> Vec<String> {
            serde_json::from_slice(&docker(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", image]))
                .unwrap()
        };
        let below = if base == "scratch" { 0 } else { layers(base).len() };
        assert!(layers(&reference).len() > below, "the image has layers of its own");
        for (name, bytes) in layer_files(&docker(&["image", "save", &reference]), below) {
            self.found.insert(name, bytes);
        }
        docker(&["image", "rm", "--force", &reference]);
        self
    }

    /// Where secrets are, and in which form.
    pub(super) fn leaks(&self, secrets: &BTreeMap<String, String>) -> Vec<String> {
        let mut leaks = Vec::new();
        for (place, bytes) in &self.found {
            let text = String::from_utf8_lossy(bytes);
            for (name, secret) in secrets {
                let forms = forms(secret).into_iter().filter(|(_, form)| text.contains(form.as_str()));
                leaks.extend(forms.map(|(form, _)| format!("the secret of `{name}` is in {place}, {form}")));
            }
        }
        leaks
    }
}

/// Files of the layers over the lowest ones of a `docker save`; archives in them are opened.
fn layer_files(saved: &[u8], below: usize) -> Vec<(String, Vec<u8>)> {
    let mut entries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in tar::Archive::new(saved).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        entries.insert(path, bytes);
    }
    let manifest: serde_json::Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    let mut files = Vec::new();
    for layer in manifest[0]["Layers"].as_array().unwrap().iter().skip(below) {
        for entry in tar::Archive::new(&*entries[layer.as_str().unwrap()]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
            entry.read_to_end(&mut bytes).unwrap();
            if let Ok(mut archive) = zip::ZipArchive::new(std::io::Cursor::new(&bytes)) {
                for index in 0..archive.len() {
                    let mut inner = Vec::new();
                    let mut file = archive.by_index(index).unwrap();
                    file.read_to_end(&mut inner).unwrap();
                    let name = file.name().map(std::borrow::Cow::into_owned).unwrap_or_default();
                    files.push((format!("the layer's {path}!{name}"), inner));
                }
            }
            files.push((format!("the layer's {path}"), bytes));
        }
    }
    files
}

/// The forms of a secret that tools write.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![
        ("as it is", secret.to_owned()),
        ("percent-encoded", percent(secret)),
        ("as XML", secret.replace('&', "&amp;")),
        ("as JSON", secret.replace('/', "\\/")),
        ("as JSON of Go's", secret.replace('&', "\\u0026")),
    ];
    // Inside longer data a value stands at one of three offsets; of each, what depends on the value alone.
    for offset in 0..3_usize {
        let bytes = [vec![0; offset], secret.as_bytes().to_vec()].concat();
        let (from, to) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(("as base64", text[from..to].to_owned()));
        }
    }
    forms
}

pub(super) fn percent(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[test]
fn every_form_of_a_secret_is_searched() {
    let secret = "p+1/a&b=?";
    let secrets = BTreeMap::from([("x".to_owned(), secret.to_owned())]);
    let base64 = base64::engine::general_purpose::STANDARD;
    for text in [
        format!("password={secret}"),
        format!("https://ada:{}@host/", percent(secret)),
        base64.encode(format!("ada:{secret}")),
        base64.encode(format!("{{\"password\":\"{secret}\"}}")),
        URL_SAFE_NO_PAD.encode(format!("a{secret}z")),
        "p+1/a&amp;b=?".to_owned(),
    ] {
        let found = BTreeMap::from([("text".to_owned(), text.clone().into_bytes())]);
        let outcome = Outcome { report: serde_json::Value::Null, found };
        assert!(!outcome.leaks(&secrets).is_empty(), "{text}");
    }
}
