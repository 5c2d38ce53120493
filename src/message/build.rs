//! The build message: what a queue message or an API call asks for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::duration;
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::{ApplicationName, BuildId, CommitSha, ProductLine, Tag};
use crate::model::origin::OriginKind;
use crate::model::request::{BuildRequest, RequestedSource};
use crate::model::settings::{ApplicationSettings, ImageSettings, Kind, RuntimeSettings, Settings, ToolchainSettings};
use crate::model::source::{RepositoryUrl, Revision, Source};

/// The longest `product_line` and `name` together (OCI repository names are at most 255 with the registry's share).
const MAX_NAMES: usize = 245;

/// The most entries that a list or a table may have.
const MAX_ENTRIES: usize = 256;

/// One build, fully described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildMessage {
    /// The format's version: 1.
    pub version: u32,
    /// The build's identity, chosen by the sender: 1 to 64 letters, digits, `_` or `-`.
    pub id: BuildId,
    /// What is built.
    pub source: MessageSource,
    /// As what it is built.
    pub application: MessageApplication,
    /// How it is built; what is absent is found out.
    #[serde(default)]
    pub toolchain: ToolchainSettings,
    /// What the image looks like.
    #[serde(default)]
    pub image: ImageSettings,
    /// How the container runs.
    #[serde(default)]
    pub runtime: RuntimeSettings,
    /// The most that the build may take: `20m`; only lowers the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Builds of an application with the same key replace each other: a newer one ends those that have not begun to push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersede: Option<String>,
    /// Which queue it waits in.
    #[serde(default)]
    pub lane: Lane,
}

/// `source`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageSource {
    /// The repository's URL, without a password.
    #[schemars(with = "String")]
    pub url: RepositoryUrl,
    /// Branch, tag or commit; the default branch if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub revision: Option<Revision>,
    /// Pins the commit, and wins over `revision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// The application's directory, relative to the repository's root.
    #[serde(default)]
    pub directory: String,
    /// The name of the operator's credentials for the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// Whether nobody vouches for it, as for a fork's: it is built without secrets and with caches of its own, and is
    /// neither deployed nor pushed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

/// `application`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageApplication {
    /// The first part of the image's name, which is a Harbor project.
    pub product_line: ProductLine,
    /// The last part of the image's name.
    pub name: ApplicationName,
    /// What it ends as.
    #[serde(default)]
    pub kind: Kind,
    /// Which module of the repository is the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Which of the processes starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// Which queue a build waits in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Somebody waits for it.
    #[default]
    Interactive,
    /// It may wait.
    Bulk,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];

    /// The name, which is also the routing key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

impl BuildMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// `request_invalid` with the path of the field.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        let message: Self = super::parse("build", body)?;
        message.check()?;
        Ok(message)
    }

    /// What the fields cannot say of themselves.
    fn check(&self) -> Result<(), Failure> {
        let wrong = |path: &str, why: &str| {
            Err(Failure::new(FailureCode::RequestInvalid, format!("the build message is wrong at `{path}`: {why}"))
                .at(path, None))
        };
        let names = self.application.product_line.as_str().len() + self.application.name.as_str().len();
        if names > MAX_NAMES {
            return wrong(
                "application.name",
                &format!("with the product line it is longer than {MAX_NAMES} characters"),
            );
        }
        if crate::model::source_tree::join("", &self.source.directory).is_none() {
            return wrong("source.directory", "it leaves the repository");
        }
        if self.supersede.as_ref().is_some_and(|key| key.is_empty() || key.len() > 255) {
            return wrong("supersede", "it has 1 to 255 characters");
        }
        if let Err(why) = self.timeout() {
            return wrong("timeout", &why);
        }
        if let Err(why) = self.tags() {
            return wrong("image.tags", &why);
        }
        let entries = [
            ("toolchain.args", self.toolchain.args.as_ref().map_or(0, Vec::len)),
            ("toolchain.env", self.toolchain.env.len()),
            ("toolchain.extras", self.toolchain.extras.as_ref().map_or(0, Vec::len)),
            ("toolchain.build_args", self.toolchain.build_args.len()),
            ("image.tags", self.image.tags.as_ref().map_or(0, Vec::len)),
            ("image.labels", self.image.labels.len()),
            ("runtime.env", self.runtime.env.len()),
            ("runtime.command", self.runtime.command.as_ref().map_or(0, Vec::len)),
            ("runtime.args", self.runtime.args.as_ref().map_or(0, Vec::len)),
            ("runtime.jvm_args", self.runtime.jvm_args.as_ref().map_or(0, Vec::len)),
            ("runtime.before_start", self.runtime.before_start.as_ref().map_or(0, Vec::len)),
            ("runtime.ports", self.runtime.ports.as_ref().map_or(0, Vec::len)),
            ("runtime.volumes", self.runtime.volumes.as_ref().map_or(0, Vec::len)),
        ];
        match entries.into_iter().find(|(_, count)| *count > MAX_ENTRIES) {
            Some((path, count)) => wrong(path, &format!("it has {count} entries; at most {MAX_ENTRIES} are read")),
            None => Ok(()),
        }
    }

    fn timeout(&self) -> Result<Option<Duration>, String> {
        let timeout = self.timeout.as_deref().map(duration::parse).transpose()?;
        match timeout {
            Some(Duration::ZERO) => Err("a build takes longer than no time".to_owned()),
            timeout => Ok(timeout),
        }
    }

    fn tags(&self) -> Result<Vec<Tag>, String> {
        let tags = self.image.tags.iter().flatten();
        tags.map(|tag| tag.parse::<Tag>().map_err(|error| error.to_string())).collect()
    }

    /// The request that it is; nothing that was read by [`BuildMessage::parse`] is refused here.
    ///
    /// # Errors
    /// `request_invalid` where a message that was made and not read breaks the rules.
    pub fn request(&self) -> Result<BuildRequest, Failure> {
        self.check()?;
        let invalid = |why: String| Failure::new(FailureCode::RequestInvalid, why);
        Ok(BuildRequest {
            id: self.id.clone(),
            source: RequestedSource::Repository(Source {
                url: self.source.url.clone(),
                revision: self.source.revision.clone(),
                commit: self.source.commit.clone(),
                directory: crate::model::source_tree::join("", &self.source.directory).unwrap_or_default(),
            }),
            credentials: self.source.credentials.clone(),
            product_line: self.application.product_line.clone(),
            name: self.application.name.clone(),
            kind: self.application.kind,
            tags: self.tags().map_err(invalid)?,
            settings: Settings {
                application: ApplicationSettings {
                    module: self.application.module.clone(),
                    process: self.application.process.clone(),
                    ..ApplicationSettings::default()
                },
                toolchain: self.toolchain.clone(),
                image: ImageSettings { tags: None, ..self.image.clone() },
                runtime: self.runtime.clone(),
                ..Settings::default()
            },
            asked_by: OriginKind::Message,
            timeout: self.timeout().map_err(invalid)?,
            untrusted: self.source.untrusted,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn smallest() -> Value {
        json!({
            "version": 1, "id": "b1", "source": { "url": "https://gitlab.example.com/trade/order.git" },
            "application": { "product_line": "trade", "name": "order" }
        })
    }

    fn parse(value: &Value) -> Result<BuildMessage, Failure> {
        BuildMessage::parse(value.to_string().as_bytes())
    }

    #[test]
    fn four_fields_are_enough() {
        let request = parse(&smallest()).unwrap().request().unwrap();
        assert_eq!((request.id.as_str(), request.kind, request.asked_by), ("b1", Kind::Service, OriginKind::Message));
    }

    #[test]
    fn errors_name_the_field() {
        let cases = [
            ("/version", json!(2), "version"),
            ("/id", json!("a b"), "id"),
            ("/source/url", json!("ext::sh -c x"), "source.url"),
            ("/source/directory", json!("../other"), "source.directory"),
            ("/source/revision", json!("--upload-pack=x"), "source.revision"),
            ("/application/name", json!("../x"), "application.name"),
            ("/application/nmae", json!("x"), "application.nmae"),
            ("/timeout", json!("20"), "timeout"),
            ("/timeout", json!("0s"), "timeout"),
            ("/image", json!({ "tags": [".x"] }), "image.tags"),
            ("/toolchain", json!({ "extras": vec!["git"; 300] }), "toolchain.extras"),
            ("/runtime", json!({ "command": vec!["x"; 300] }), "runtime.command"),
            ("/runtime", json!({ "args": vec!["x"; 300] }), "runtime.args"),
            ("/runtime", json!({ "jvm_args": vec!["x"; 300] }), "runtime.jvm_args"),
            ("/runtime", json!({ "before_start": vec!["x"; 300] }), "runtime.before_start"),
            ("/runtime", json!({ "ports": [99_999] }), "runtime.ports[0]"),
            ("/toolchain", json!({ "args": vec!["x"; 300] }), "toolchain.args"),
            ("/lane", json!("slow"), "lane"),
            ("/supersede", json!(""), "supersede"),
        ];
        for (pointer, wrong, path) in cases {
            let mut message = smallest();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            message.pointer_mut(parent).unwrap()[key] = wrong;
            let failure = parse(&message).unwrap_err();
            assert_eq!(failure.code, FailureCode::RequestInvalid);
            assert_eq!(failure.places[0].path, path, "{}", failure.message);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for body in [&b""[..], b"{", b"[]", b"\xff\xfe", b"{\"version\":1}"] {
            assert_eq!(BuildMessage::parse(body).unwrap_err().code, FailureCode::RequestInvalid);
        }
        let large = vec![b' '; super::super::MAX_BYTES + 1];
        assert!(BuildMessage::parse(&large).unwrap_err().message.contains("at most"));
    }
}
