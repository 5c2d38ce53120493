//! What the operator lets a checkout reach, and with which credentials.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::failure::{Failure, FailureCode};
use crate::model::source::{RepositoryUrl, Transport};
pub use crate::secrets::Account;

/// What a checkout may reach, and how.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The repositories that may be cloned; submodules and redirects obey it too.
    pub allow: AllowList,
    /// What the hosts are shown that the operator bound them to.
    pub credentials: Option<Credentials>,
    /// The operator's certificate authorities, a PEM file.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy variables for Git: `http_proxy`, `https_proxy`, `no_proxy`.
    pub proxy: BTreeMap<String, String>,
    /// Whether SSH may use keys, agent and known hosts of the account that Slipway runs as: for people at their own
    /// machine, where no credentials are named.
    pub own_ssh: bool,
    /// Whether submodules stay empty: whoever wrote an untrusted `.gitmodules` would choose what the credentials fetch.
    pub no_submodules: bool,
}

/// Secrets for the hosts that the operator bound them to.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The operator's name of them, which may be shown.
    pub name: String,
    /// What is shown over HTTP.
    pub account: Option<Account>,
    /// What is shown over SSH.
    pub ssh: Option<SshIdentity>,
    /// Hosts that may see them: `gitlab.example.com`, or `gitlab.example.com:8443` where the port is not the usual one.
    pub hosts: Vec<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// A private key in a file that only we can read, and the hosts that it knows.
///
/// The operator's own file may be readable by a group, as secrets of Kubernetes are, which ssh refuses.
#[derive(Debug, Clone)]
pub struct SshIdentity {
    file: Arc<tempfile::TempPath>,
    known_hosts: Option<PathBuf>,
}

impl SshIdentity {
    /// Writes the key; the file goes with the last clone.
    ///
    /// # Errors
    /// What the system answers.
    pub fn new(key: &str, known_hosts: Option<PathBuf>) -> std::io::Result<Self> {
        let mut file = tempfile::Builder::new().prefix("slipway-ssh-").tempfile()?;
        // ssh reads no key whose last line has no end.
        writeln!(file, "{}", key.trim_end())?;
        Ok(Self { file: Arc::new(file.into_temp_path()), known_hosts })
    }

    pub(super) fn key(&self) -> &Path {
        &self.file
    }

    pub(super) fn known_hosts(&self) -> Option<&Path> {
        self.known_hosts.as_deref()
    }
}

impl Access {
    /// What this URL's host may see over HTTP.
    pub(super) fn account(&self, url: &RepositoryUrl) -> Option<&Account> {
        self.bound(url).filter(|_| url.transport().is_http())?.account.as_ref()
    }

    /// What this URL's host may see over SSH.
    pub(super) fn ssh(&self, url: &RepositoryUrl) -> Option<&SshIdentity> {
        self.bound(url).filter(|_| url.transport() == Transport::Ssh)?.ssh.as_ref()
    }

    /// The credentials, where they are for this URL's host.
    pub(super) fn bound(&self, url: &RepositoryUrl) -> Option<&Credentials> {
        let place = url.host_and_port();
        self.credentials.as_ref().filter(|own| own.hosts.iter().any(|host| host.eq_ignore_ascii_case(&place)))
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
        let access = Access {
            credentials: Some(Credentials {
                name: "gitlab".into(),
                account: Some(Account { username: "u".into(), password: "hunter2".into() }),
                ssh: Some(SshIdentity::new("hunter3", None).unwrap()),
                hosts: vec!["gitlab.example.com".into(), "127.0.0.1:8080".into()],
            }),
            ..Access::default()
        };
        for (text, account, ssh) in [
            ("https://GitLab.example.com/a", true, false),
            ("https://gitlab.example.com:443/a", true, false),
            ("http://127.0.0.1:8080/a", true, false),
            ("ssh://git@gitlab.example.com/a", false, true),
            ("git@gitlab.example.com:a", false, true),
            ("ssh://git@gitlab.example.com:22/a", false, true),
            ("ssh://git@gitlab.example.com:2222/a", false, false),
            ("https://gitlab.example.com:8443/a", false, false),
            ("http://127.0.0.1:8081/a", false, false),
            ("https://evil.example.com/gitlab.example.com", false, false),
        ] {
            let url = url(text);
            assert_eq!((access.account(&url).is_some(), access.ssh(&url).is_some()), (account, ssh), "{text}");
        }
        assert!(!format!("{access:?}").contains("hunter"));
    }

    #[test]
    fn a_key_lies_where_only_we_can_read_it_and_goes_with_its_last_user() {
        use std::os::unix::fs::PermissionsExt as _;
        let identity = SshIdentity::new("key\n\n", None).unwrap();
        let file = identity.key().to_owned();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "key\n");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let clone = identity.clone();
        drop(identity);
        assert!(file.exists());
        drop(clone);
        assert!(!file.exists());
    }
}
