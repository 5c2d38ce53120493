//! `[mirrors]`: where packages and images come from, and by which credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// `[mirrors]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mirrors {
    /// Maven's `settings.xml`; its servers' passwords reach Maven alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maven_settings: Option<PathBuf>,
    /// Where libraries are deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maven_deploy: Option<Deploy>,
    /// pip's index: a URL, or `{ url, credentials }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python_index: Option<Mirror>,
    /// Further indexes of pip's. A package may come from any of them, so a name that is yours should be in all or in one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub python_extra_indexes: Vec<Mirror>,
    /// Go's module proxy, or a list as in `GOPROXY`: a text, or `{ url, credentials }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go_proxy: Option<Mirror>,
    /// Go modules that are fetched from their own servers and known to no public one (`GOPRIVATE`): `https://gitlab.example.com/trade`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub go_private: Vec<Mirror>,
    /// Go modules whose checksums no public database knows (`GONOSUMDB`): `gitlab.example.com/trade`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub go_no_sumdb: Vec<String>,
    /// Go's checksum database (`GOSUMDB`), or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go_sumdb: Option<String>,
    /// Registry host and what stands for it.
    pub images: BTreeMap<String, String>,
}

/// `mirrors.maven_deploy`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// The repository.
    pub url: String,
    /// The name of the credentials for it.
    pub credentials: String,
}

/// A place that packages come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a URL, or `{ url = \"…\", credentials = \"NAME\" }`, is expected")]
pub enum Mirror {
    /// A URL that asks for no account.
    Open(String),
    /// A URL, and who may fetch from it.
    Private(Private),
}

/// See [`Mirror::Private`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// The URL.
    pub url: String,
    /// The name of the credentials for it.
    pub credentials: String,
}

impl Mirror {
    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Open(url) => url,
            Self::Private(private) => &private.url,
        }
    }
}

impl Mirrors {
    /// The table as toolchains' templates see it: URLs, without the names of credentials; Go's patterns as Go wants
    /// them.
    #[must_use]
    pub fn for_templates(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let urls = |mirrors: &[Mirror]| mirrors.iter().map(|one| one.url().to_owned()).collect::<Vec<_>>();
        for (key, mirror) in [("python_index", &self.python_index), ("go_proxy", &self.go_proxy)] {
            if let Some(mirror) = mirror {
                value[key] = json!(mirror.url());
            }
        }
        value["python_extra_indexes"] = json!(urls(&self.python_extra_indexes));
        let private = urls(&self.go_private).into_iter();
        let pattern =
            |url: String| url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/').to_owned();
        value["go_private"] = json!(private.map(pattern).collect::<Vec<_>>().join(","));
        value["go_no_sumdb"] = json!(self.go_no_sumdb.join(","));
        value
    }

    /// The settings that are URLs and stand in plans, by key.
    pub(super) fn urls(&self) -> Vec<(&'static str, &str)> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        all.extend(self.python_index.iter().map(|mirror| ("mirrors.python_index", mirror.url())));
        all.extend(self.python_extra_indexes.iter().map(|mirror| ("mirrors.python_extra_indexes", mirror.url())));
        // `GOPROXY` is a list.
        let proxies = self.go_proxy.iter().flat_map(|mirror| mirror.url().split([',', '|']));
        all.extend(proxies.map(|url| ("mirrors.go_proxy", url)));
        all.extend(self.go_private.iter().map(|mirror| ("mirrors.go_private", mirror.url())));
        all.extend(self.maven_deploy.iter().map(|deploy| ("mirrors.maven_deploy.url", deploy.url.as_str())));
        all
    }
}
