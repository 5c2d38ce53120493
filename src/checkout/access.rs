//! What the operator lets a checkout reach, and with which credentials.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::model::failure::{Failure, FailureCode};
use crate::model::source::{RepositoryUrl, Transport};

/// What a checkout may reach, and how.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The repositories that may be cloned; submodules and redirects obey it too.
    pub allow: AllowList,
    /// What the source's host is shown.
    pub credentials: Option<Credentials>,
    /// The operator's certificate authorities, a PEM file.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy variables for Git: `http_proxy`, `https_proxy`, `no_proxy`.
    pub proxy: BTreeMap<String, String>,
    /// The private key for SSH; the account's own keys if absent.
    pub ssh_key: Option<PathBuf>,
    /// The host keys for SSH; the account's own if absent. Unknown hosts are never trusted.
    pub ssh_known_hosts: Option<PathBuf>,
}

/// A name and a password for the hosts that the operator bound them to.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The operator's name of them, which may be shown.
    pub name: String,
    /// The account.
    pub username: String,
    /// The secret.
    pub password: String,
    /// Hosts that may see them: `gitlab.example.com`, or `gitlab.example.com:8443`.
    pub hosts: Vec<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Whether this URL's host may see them. SSH has keys instead, a directory has neither.
    #[must_use]
    pub fn are_for(&self, url: &RepositoryUrl) -> bool {
        let authority = url.authority();
        let place = authority.split_once("://").map_or("", |(_, place)| place);
        matches!(url.transport(), Transport::Https | Transport::Http)
            && self.hosts.iter().any(|host| {
                host.eq_ignore_ascii_case(place)
                    || (!host.contains(':') && url.host().is_some_and(|own| own.eq_ignore_ascii_case(host)))
            })
    }
}

/// The prefixes of repositories that may be cloned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowList {
    /// Whatever can be cloned: for people at their own machine.
    Everything,
    /// Only what lies below one of these.
    Below(Vec<RepositoryUrl>),
}

impl Default for AllowList {
    fn default() -> Self {
        Self::Below(Vec::new())
    }
}

impl AllowList {
    /// The list that `sources.allow` spells out.
    ///
    /// # Errors
    /// `configuration_invalid` when an entry is no URL of a repository's prefix.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, Failure> {
        let parse = |entry: &str| {
            entry.parse().map_err(|error| {
                Failure::new(FailureCode::ConfigurationInvalid, format!("`sources.allow` has `{entry}`: {error}"))
            })
        };
        entries.into_iter().map(parse).collect::<Result<_, _>>().map(Self::Below)
    }

    /// Whether a repository may be cloned.
    #[must_use]
    pub fn allows(&self, url: &RepositoryUrl) -> bool {
        match self {
            Self::Everything => true,
            Self::Below(prefixes) => prefixes.iter().any(|prefix| url.is_below(prefix)),
        }
    }

    /// Refuses a repository that may not be cloned; `what` says how it came up.
    ///
    /// # Errors
    /// `source_forbidden`, naming the URL.
    pub fn check(&self, url: &RepositoryUrl, what: &str) -> Result<(), Failure> {
        if self.allows(url) {
            return Ok(());
        }
        Err(Failure::new(FailureCode::SourceForbidden, format!("{what} `{url}` is not one that may be cloned")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RepositoryUrl {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_is_allowed_unless_it_is_listed() {
        assert!(!AllowList::default().allows(&url("https://gitlab.example.com/a")));
        let list = AllowList::parse(["https://gitlab.example.com/"]).unwrap();
        assert!(list.check(&url("https://gitlab.example.com/a"), "The source").is_ok());
        let failure = list.check(&url("https://elsewhere.example.com/a"), "The submodule `lib`:").unwrap_err();
        assert_eq!(failure.code, FailureCode::SourceForbidden);
        assert!(AllowList::parse(["gitlab.example.com"]).is_err());
    }

    #[test]
    fn credentials_stay_with_their_hosts_and_out_of_debug_output() {
        let credentials = Credentials {
            name: "gitlab".into(),
            username: "u".into(),
            password: "hunter2".into(),
            hosts: vec!["gitlab.example.com".into(), "127.0.0.1:8080".into()],
        };
        assert!(credentials.are_for(&url("https://GitLab.example.com/a")));
        assert!(credentials.are_for(&url("http://127.0.0.1:8080/a")));
        assert!(!credentials.are_for(&url("http://127.0.0.1:8081/a")));
        assert!(!credentials.are_for(&url("https://evil.example.com/gitlab.example.com")));
        assert!(!credentials.are_for(&url("ssh://gitlab.example.com/a")));
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
