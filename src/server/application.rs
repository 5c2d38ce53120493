//! Applications as their owners describe them: in `applications.toml`, by the API, on the page.

use globset::GlobBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tag_policy::{TagPolicy, tags};
use crate::message::build::{MessageApplication, MessageSource};
use crate::message::{BuildMessage, Lane, VERSION};
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::{ApplicationName, BuildId, CommitSha, ProductLine};
use crate::model::settings::{ImageSettings, Kind, RuntimeSettings, ToolchainSettings};
use crate::model::source::{RepositoryUrl, Revision};

/// An application: where it comes from, what is built of it, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Application {
    /// The product line, which is a project of the registry.
    pub(super) product_line: ProductLine,
    /// The name, the last part of the image's.
    pub(super) name: ApplicationName,
    /// The repository's URL; it is cloned from nowhere else, whatever a webhook says.
    #[schemars(with = "String")]
    pub(super) repository: RepositoryUrl,
    /// The name of the operator's credentials for the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) credentials: Option<String>,
    /// The application's directory in the repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) directory: String,
    /// What it ends as.
    #[serde(default)]
    pub(super) kind: Kind,
    /// Which module of the repository is the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) module: Option<String>,
    /// Which of the processes starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<String>,
    /// Which changes are built.
    #[serde(default)]
    pub(super) rules: Rules,
    /// What its images are tagged with; several are all set.
    #[serde(default = "by_commit")]
    pub(super) tags: Vec<TagPolicy>,
    /// How it is built.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) toolchain: ToolchainSettings,
    /// What the image looks like.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) image: ImageSettings,
    /// How the container runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) runtime: RuntimeSettings,
    /// The names of the credentials with secret tokens of this application's own webhook; the server's hold if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) webhook_secrets: Vec<String>,
    /// Whom GitLab tells how a build went.
    #[serde(default)]
    pub(super) notify: Notify,
}

/// Which changes are built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rules {
    /// Branches that are built when somebody pushes: patterns in which `*` stands for any text.
    pub(super) branches: Vec<String>,
    /// Tags that are built: patterns.
    pub(super) tags: Vec<String>,
    /// Whether merge requests are built.
    pub(super) merge_requests: bool,
    /// What becomes of merge requests from forks.
    pub(super) forks: Forks,
}

/// What becomes of merge requests from forks, whose authors need no right in the application's repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Forks {
    /// They are not built.
    Never,
    /// They are built without secrets and with caches of their own, and are not pushed.
    #[default]
    Untrusted,
    /// They are built as all others are: whoever can open a merge request can use what builds may use.
    Trusted,
}

/// What GitLab shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Notify {
    /// A status at the commit.
    pub(super) commit_status: bool,
    /// A comment at the merge request.
    pub(super) merge_request: bool,
}

/// The file `applications.toml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Applications {
    /// The applications.
    pub(super) application: Vec<Application>,
}

/// A state of the repository that is to be built.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) revision: Option<Revision>,
    pub(super) commit: Option<CommitSha>,
    /// The Git tag, where it is one.
    pub(super) tag: Option<String>,
    /// The merge request, where it is of one.
    pub(super) merge_request: Option<u64>,
    /// Whether nobody vouches for it.
    pub(super) untrusted: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            branches: vec!["main".to_owned(), "master".to_owned()],
            tags: vec!["*".to_owned()],
            merge_requests: true,
            forks: Forks::default(),
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self { commit_status: true, merge_request: true }
    }
}

impl Rules {
    /// Whether pushes to a branch are built.
    pub(super) fn branch(&self, name: &str) -> bool {
        matches(&self.branches, name)
    }

    /// Whether a merge request is built, and then whether somebody vouches for it; else why not.
    pub(super) fn merge_request(&self, of_a_fork: bool) -> Result<bool, &'static str> {
        match self.forks {
            _ if !self.merge_requests => Err("merge requests are not built: `rules.merge_requests` is false"),
            Forks::Never if of_a_fork => Err("it comes from a fork, and `rules.forks` is `never`"),
            Forks::Untrusted => Ok(!of_a_fork),
            Forks::Never | Forks::Trusted => Ok(true),
        }
    }

    /// Whether a tag is built.
    pub(super) fn tag(&self, name: &str) -> bool {
        matches(&self.tags, name)
    }
}

fn matches(patterns: &[String], name: &str) -> bool {
    let pattern =
        |text: &String| GlobBuilder::new(text).build().is_ok_and(|glob| glob.compile_matcher().is_match(name));
    patterns.iter().any(pattern)
}

impl Application {
    /// Reads an application of JSON.
    ///
    /// # Errors
    /// `request_invalid` with the path of the field.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Failure> {
        let application = Self::read(body)?;
        application.check()?;
        Ok(application)
    }

    /// Reads an application as it is kept. It was checked when it was taken; what is refused since then goes on being built.
    ///
    /// # Errors
    /// `request_invalid` with the path of the field.
    pub(super) fn stored(body: &str) -> Result<Self, Failure> {
        Self::read(body.as_bytes())
    }

    fn read(body: &[u8]) -> Result<Self, Failure> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            invalid(&format!("is wrong at `{path}`: {}", error.inner())).at(path, None)
        })
    }

    /// What the fields cannot say of themselves.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for (path, patterns) in [("rules.branches", &self.rules.branches), ("rules.tags", &self.rules.tags)] {
            let wrong = patterns.iter().find(|text| text.len() > 255 || GlobBuilder::new(text).build().is_err());
            if let Some(text) = wrong {
                return Err(invalid(&format!("is wrong at `{path}`: `{text}` is no pattern")).at(path, None));
            }
        }
        if self.tags.is_empty() {
            return Err(invalid("is wrong at `tags`: it has one at least").at("tags", None));
        }
        if self.image.tags.is_some() {
            // They would be passed over: what a build is tagged with depends on what it is built of.
            return Err(
                invalid("is wrong at `image.tags`: `tags` says what its images are tagged with").at("image.tags", None)
            );
        }
        let id = "check".parse().map_err(|_| invalid("cannot be checked"))?;
        let wanted = Wanted { revision: None, commit: None, tag: None, merge_request: None, untrusted: false };
        self.message(id, &wanted, "1970-01-01")?.request().map(drop)
    }

    /// The path of the repository on its server, without `.git`: what GitLab calls `path_with_namespace`.
    pub(super) fn repository_path(&self) -> String {
        let path = self.repository.path().trim_matches('/');
        path.strip_suffix(".git").unwrap_or(path).to_lowercase()
    }

    /// The message that asks for a build.
    ///
    /// # Errors
    /// `request_invalid` where its parts do not fit together.
    pub(super) fn message(&self, id: BuildId, wanted: &Wanted, day: &str) -> Result<BuildMessage, Failure> {
        let key = match (&wanted.merge_request, &wanted.revision) {
            (Some(number), _) => Some(format!("merge-request:{number}")),
            // A tag is built whatever comes after it.
            (None, Some(revision)) if wanted.tag.is_none() => Some(format!("branch:{revision}")),
            _ => None,
        };
        let message = BuildMessage {
            version: VERSION,
            id,
            source: MessageSource {
                url: self.repository.clone(),
                revision: wanted.revision.clone(),
                commit: wanted.commit.clone(),
                directory: self.directory.clone(),
                credentials: self.credentials.clone(),
                untrusted: wanted.untrusted,
            },
            application: MessageApplication {
                product_line: self.product_line.clone(),
                name: self.name.clone(),
                kind: self.kind,
                module: self.module.clone(),
                process: self.process.clone(),
            },
            toolchain: self.toolchain.clone(),
            image: ImageSettings { tags: tags(&self.tags, wanted, day), ..self.image.clone() },
            runtime: self.runtime.clone(),
            timeout: None,
            supersede: key.map(|key| key.chars().take(255).collect()),
            lane: Lane::default(),
        };
        message.request()?;
        Ok(message)
    }
}

fn by_commit() -> Vec<TagPolicy> {
    vec![TagPolicy::Commit, TagPolicy::GitTag]
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn invalid(why: &str) -> Failure {
    Failure::new(FailureCode::RequestInvalid, format!("the application {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_read_strictly() {
        let text = r#"{ "product_line": "trade", "name": "order", "repository": "https://gitlab.example.com/Trade/order.git" }"#;
        let application = Application::parse(text.as_bytes()).unwrap();
        assert_eq!(application.repository_path(), "trade/order");
        assert!(
            application.rules.branch("main") && !application.rules.branch("feature/x") && application.rules.tag("v1")
        );
        let failure = Application::parse(text.replace("\"name\"", "\"nmae\"").as_bytes()).unwrap_err();
        assert!(failure.message.contains("nmae"), "{}", failure.message);
        let rules = text.replace(" }", r#", "rules": { "branches": ["[x"] } }"#);
        assert_eq!(Application::parse(rules.as_bytes()).unwrap_err().places[0].path, "rules.branches");
        // Said in the wrong place, it is refused; where it is kept since before, the application is built all the same.
        let tags = text.replace(" }", r#", "image": { "tags": ["latest"] } }"#);
        assert_eq!(Application::parse(tags.as_bytes()).unwrap_err().places[0].path, "image.tags");
        assert!(Application::stored(&tags).is_ok());
    }
}
