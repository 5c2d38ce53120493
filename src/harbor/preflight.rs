//! Before a build: what a push would meet, in at most five requests.

use serde_json::Value;

use super::client::encoded;
use super::{Client, Quota, Reply, Rights};
use crate::model::failure::{Failure, FailureCode};

/// What is going to be pushed.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The product line.
    pub project: &'a str,
    /// The application.
    pub name: &'a str,
    /// The tags.
    pub tags: &'a [String],
    /// The commit that is built.
    pub commit: Option<&'a str>,
}

/// What is known before a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Harbor's version, where the account is told.
    pub version: Option<String>,
    /// Whether the project has to be made first.
    pub project_missing: bool,
    /// What the push cannot succeed with; the first counts.
    pub failures: Vec<Failure>,
    /// Bytes that still fit into the project, where the account is told and there is a limit.
    pub left: Option<u64>,
    /// Bytes of the image that the repository got last, where the account is told.
    pub last: Option<u64>,
}

/// What a Harbor says of itself.
#[derive(Debug, Clone)]
pub struct SystemInfo(Value);

impl Client {
    /// What the registry says of itself. `None`: this is no Harbor, or it does not answer now.
    ///
    /// A registry that is away now may be back when the image is built, so that is no finding.
    pub async fn system_info(&self) -> Option<SystemInfo> {
        let info = self.get("/api/v2.0/systeminfo").await.ok()?;
        self.tells(&info).then_some(SystemInfo(info.body))
    }

    /// Looks at what a push would meet. `None` as for [`Client::system_info`].
    pub async fn preflight(&self, wanted: Wanted<'_>) -> Option<Preflight> {
        self.preflight_of(&self.system_info().await?, wanted).await
    }

    /// The same of a Harbor that has said what it is.
    pub async fn preflight_of(&self, SystemInfo(info): &SystemInfo, wanted: Wanted<'_>) -> Option<Preflight> {
        let mut found =
            Preflight { version: info["harbor_version"].as_str().map(str::to_owned), ..Preflight::default() };
        let repository = format!("{}/{}", wanted.project, wanted.name);
        match self.rights(&repository).await.ok()? {
            Rights::Stranger => {
                found.failures.push(self.stranger().await);
                return Some(found);
            }
            rights if rights.include("push") => {}
            Rights::Known(_) => {
                self.without_right(&mut found, wanted.project).await;
                return Some(found);
            }
        }
        if info["read_only"] == true {
            found.failures.push(self.failure(FailureCode::RegistryReadOnly, "is in read-only mode"));
        }
        // What follows needs more than the right to push; an account that has it not is told no more.
        let quota = self.quota(wanted.project).await.ok().flatten();
        found.left = quota.and_then(Quota::left);
        let again = self.of_tags(&mut found, wanted).await;
        // Layers that are there already cost nothing, so only a full project is certain to refuse, and a new image alone.
        if found.left == Some(0) && again == Some(false) {
            found.failures.push(self.full(wanted.project, found.last));
        }
        Some(found)
    }

    /// Whether this is a Harbor.
    ///
    /// # Errors
    /// `registry_unavailable` and the like where it does not answer: then nobody knows.
    pub async fn is_harbor(&self) -> Result<bool, Failure> {
        self.get("/api/v2.0/systeminfo").await.map(|info| self.tells(&info))
    }

    /// Whether an answer to `systeminfo` is a Harbor's. One whose database is away knows nobody; whom nobody named an account
    /// may be refused by any registry.
    fn tells(&self, info: &Reply) -> bool {
        info.body["auth_mode"].is_string() || (info.status == 401 && self.has_account())
    }

    async fn stranger(&self) -> Failure {
        if self.has_account() || self.is_down().await {
            return self.login_refused().await;
        }
        self.failure(FailureCode::RegistryUnauthorized, "takes images only from accounts, and there is none for it").hint(
            "name credentials for it in the configuration (`registry.credentials`, or some whose `hosts` and `product_lines` list both), or run `docker login`",
        )
    }

    async fn without_right(&self, found: &mut Preflight, project: &str) {
        match self.has_project(project).await {
            Ok(true) => {
                let happened = format!("does not let `{}` push to the project `{project}`", self.account());
                found.failures.push(self.failure(FailureCode::RegistryForbidden, &happened));
            }
            Ok(false) => found.project_missing = true,
            Err(failure) => found.failures.push(failure),
        }
    }

    /// Which tags are fixed, and how large the last image was; gives whether an image of the same commit is there, which
    /// takes no room when it is pushed again. `None` where the account is not told.
    async fn of_tags(&self, found: &mut Preflight, wanted: Wanted<'_>) -> Option<bool> {
        let path = format!(
            "/api/v2.0/projects/{}/repositories/{}/artifacts",
            encoded(wanted.project),
            encoded(&encoded(wanted.name))
        );
        let shows = "with_tag=true&with_immutable_status=true";
        // The first tag is the precise one; it may be older than the newest images.
        let first = wanted.tags.first().map(|tag| format!("{path}/{}?{shows}", encoded(tag)));
        let newest = format!("{path}?page_size=20&sort=-push_time&{shows}");
        let mut artifacts: Vec<Value> = Vec::new();
        let reply = self.get(&newest).await.ok()?;
        if let Value::Array(all) = reply.body {
            found.last = all.first().and_then(|artifact| artifact["size"].as_u64());
            artifacts.extend(all);
        } else if reply.status != 404 {
            return None;
        }
        let known = |tag: &String| artifacts.iter().any(|artifact| fixes(artifact, tag).is_some());
        if let Some(first) = first.filter(|_| !artifacts.is_empty() && !wanted.tags.first().is_some_and(known))
            && let Ok(reply) = self.get(&first).await
            && reply.good()
        {
            artifacts.push(reply.body);
        }
        for tag in wanted.tags {
            let fixed = artifacts.iter().find(|artifact| fixes(artifact, tag) == Some(true));
            // The same commit may give the same image, which is a success.
            if let Some(artifact) =
                fixed.filter(|artifact| wanted.commit.is_none() || revision(artifact) != wanted.commit)
            {
                let digest = artifact["digest"].as_str().unwrap_or_default();
                let happened = format!(
                    "holds the tag `{tag}` of `{}/{}` fast: it names `{digest}` for good",
                    wanted.project, wanted.name
                );
                found.failures.push(self.failure(FailureCode::RegistryTagImmutable, &happened));
            }
        }
        Some(wanted.commit.is_some() && artifacts.iter().any(|artifact| revision(artifact) == wanted.commit))
    }

    fn full(&self, project: &str, last: Option<u64>) -> Failure {
        let last = last.map_or(String::new(), |last| format!("; the last image has {} MB", last / 1_000_000));
        let happened = format!("has no room in the project `{project}`{last}");
        self.failure(FailureCode::RegistryQuotaExceeded, &happened)
    }
}

/// Whether an artifact has a tag, and whether the tag is fixed to it.
fn fixes(artifact: &Value, tag: &str) -> Option<bool> {
    let tags = artifact["tags"].as_array()?;
    tags.iter().find(|one| one["name"] == tag).map(|one| one["immutable"] == true)
}

/// The commit that an image says it was built from.
fn revision(artifact: &Value) -> Option<&str> {
    artifact["extra_attrs"]["config"]["Labels"]["org.opencontainers.image.revision"].as_str()
}
