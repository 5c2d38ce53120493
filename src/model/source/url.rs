//! Where a repository is.

use std::fmt;
use std::str::FromStr;

use ::url::Url;
use serde::{Deserialize, Serialize};

use super::InvalidSource;

/// How a repository is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// HTTP over TLS.
    Https,
    /// HTTP in the clear, for test servers and laptops.
    Http,
    /// SSH.
    Ssh,
    /// A directory of this machine.
    File,
}

impl Transport {
    /// Whether it is HTTP, with or without TLS.
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::Https | Self::Http)
    }

    /// The scheme, which is also Git's name of the protocol.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// The URL of a Git repository: `https`, `http`, `ssh` or `file`, normalised, without a password; HTTP without a user too.
///
/// The form `git@host:path` (git-clone(1), "GIT URLS") is read as `ssh://git@host/path`.
/// Nothing that Git would take for an option, a remote helper (`ext::`) or a local path passes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryUrl {
    url: Url,
    transport: Transport,
}

impl RepositoryUrl {
    /// How the repository is spoken to.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The URL as Git gets it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The host; `None` for `file`.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.url.host_str().filter(|host| !host.is_empty())
    }

    /// Scheme, host and port without user and path: what credentials are bound to.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}://{}", self.transport.scheme(), self.host_and_port())
    }

    /// Host and port without scheme, as the operator's `hosts` name them; without the port where it is the usual one.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        let host = self.host().unwrap_or_default().to_ascii_lowercase();
        self.url.port().map_or(host.clone(), |port| format!("{host}:{port}"))
    }

    /// The path, beginning with `/`, still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The repository's own name: the last part of the path without `.git`, also where that is the directory's whole name, as
    /// `git clone` takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        let path = self.path().trim_end_matches('/');
        let last = path.strip_suffix("/.git").unwrap_or(path).rsplit('/').next().unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last)
    }

    /// Whether this URL lies below a prefix: same scheme, host, port and (if the prefix has one)
    /// user, and a path that begins with the prefix's on a `/` boundary.
    #[must_use]
    pub fn is_below(&self, prefix: &Self) -> bool {
        let base = prefix.path().trim_end_matches('/');
        self.authority() == prefix.authority()
            && (prefix.url.username().is_empty() || prefix.url.username() == self.url.username())
            && self.path().strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The URL that a submodule's `url` means in this repository: relative ones (`./`, `../`)
    /// are taken from this URL (gitmodules(5)).
    ///
    /// # Errors
    /// When the result is no URL that may be cloned at all.
    pub fn resolve(&self, reference: &str) -> Result<Self, InvalidSource> {
        if !reference.starts_with("./") && !reference.starts_with("../") {
            return reference.parse();
        }
        let mut parts: Vec<&str> = self.path().split('/').filter(|part| !part.is_empty()).collect();
        for part in reference.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(|| InvalidSource { what: "URL", why: "leaves its host".to_owned() })?;
                }
                name => parts.push(name),
            }
        }
        let mut url = self.url.clone();
        url.set_path(&parts.join("/"));
        url.as_str().parse()
    }
}

impl FromStr for RepositoryUrl {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let refuse = |why: &str| InvalidSource { what: "URL", why: why.to_owned() };
        if text.len() > 2048 || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(refuse("is longer than 2048 bytes or has a space, a control character or a `\\`"));
        }
        let text = match text.split_once(':') {
            // `user@host:path`, but neither `scheme://` nor `helper::address`.
            Some((host, path))
                if host.contains('@') && !host.contains('/') && !path.starts_with("//") && !path.starts_with(':') =>
            {
                format!("ssh://{host}/{}", path.trim_start_matches('/'))
            }
            _ => text.to_owned(),
        };
        if !text.contains("://") {
            return Err(refuse("has no scheme: write `https://…`, `ssh://…` or `file:///…`"));
        }
        // What the parser says may quote a password, so it is not passed on.
        let mut url = Url::parse(&text).map_err(|_| refuse("cannot be read"))?;
        // The parser knows the usual ports of the others.
        if url.scheme() == "ssh" && url.port() == Some(22) {
            url.set_port(None).map_err(|()| refuse("cannot be read"))?;
        }
        let transport = match url.scheme() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            "ssh" => Transport::Ssh,
            "file" => Transport::File,
            other => return Err(refuse(&format!("has the scheme `{other}`; `https`, `ssh` and `file` can be cloned"))),
        };
        if url.password().is_some() {
            return Err(refuse("holds a password: name credentials instead"));
        }
        // Hosts put a name there that nobody needs (`https://ada@bitbucket.org/…`), people a token that nobody may see.
        if transport.is_http() {
            url.set_username("").map_err(|()| refuse("cannot be read"))?;
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("has a `?` or a `#`"));
        }
        let path = url.path().to_ascii_lowercase();
        if path.contains("%2f") || path.contains("%5c") || path.contains("%2e") || path.contains("%00") {
            return Err(refuse("hides a `/`, `\\`, `.` or NUL in its path"));
        }
        // Programs such as ssh take a leading `-` for an option.
        let host = url.host_str().unwrap_or_default();
        if host.starts_with('-') || host.contains('%') || url.username().starts_with('-') || path.starts_with("/-") {
            return Err(refuse("has a host, user or path that begins with `-`, or an encoded host"));
        }
        if host.is_empty() != (transport == Transport::File) {
            return Err(refuse("has no host, or a `file` URL has one"));
        }
        Ok(Self { url, transport })
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for RepositoryUrl {
    type Error = InvalidSource;

    fn try_from(text: String) -> Result<Self, InvalidSource> {
        text.parse()
    }
}

impl From<RepositoryUrl> for String {
    fn from(url: RepositoryUrl) -> Self {
        url.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RepositoryUrl {
        text.parse().unwrap()
    }

    #[test]
    fn urls_are_normalised() {
        assert_eq!(
            url("git@gitlab.example.com:trade/order.git").as_str(),
            "ssh://git@gitlab.example.com/trade/order.git"
        );
        assert_eq!(url("HTTPS://GitLab.Example.com:443/a/../b.git").as_str(), "https://gitlab.example.com/b.git");
        assert_eq!(url("https://gitlab.example.com/trade/order.git/").name(), "order");
        assert_eq!(url("file:///srv/order/.git").name(), "order");
        assert_eq!(url("file:///srv/git/order").host(), None);
    }

    #[test]
    fn a_token_in_the_place_of_a_user_goes() {
        for text in ["https://ghp_TOKEN@github.com/trade/order.git", "https://ada@github.com/trade/order.git"] {
            assert_eq!(url(text).as_str(), "https://github.com/trade/order.git");
        }
        assert_eq!(url("ssh://deploy@github.com/trade/order.git").as_str(), "ssh://deploy@github.com/trade/order.git");
    }

    #[test]
    fn hostile_urls_are_refused() {
        for bad in [
            "",
            "--upload-pack=touch /tmp/x",
            "ext::sh -c whoami",
            "ext::sh%20-c%20whoami",
            "fd::17",
            "a@ext::x",
            "/srv/git/order",
            "../order",
            "ssh://-oProxyCommand=whoami/x",
            "-oProxyCommand=x@host:y",
            "ssh://-u@host/x",
            "ssh://host/-x",
            "https://user:secret@host/x",
            "https://host/a%2f..%2fb",
            "https://host/a/..%5cb",
            "ssh://%2doProxyCommand=x/y",
            "file://host/x",
            "https://host/x?y",
            "https://host/x\n",
            "git://host/x",
            "ftp://host/x",
        ] {
            assert!(bad.parse::<RepositoryUrl>().is_err(), "{bad}");
        }
        let error = "https://u:hunter2@host/x".parse::<RepositoryUrl>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let prefix = url("https://gitlab.example.com/trade");
        assert!(url("https://gitlab.example.com/trade/order.git").is_below(&prefix));
        for other in [
            "https://gitlab.example.com/trade-secrets/x",
            "https://gitlab.example.com.evil.test/trade/x",
            "https://gitlab.example.com:8443/trade/x",
            "http://gitlab.example.com/trade/x",
            "https://gitlab.example.com/trade/../x",
        ] {
            assert!(!url(other).is_below(&prefix), "{other}");
        }
    }

    #[test]
    fn submodules_are_relative_to_their_repository() {
        let parent = url("https://gitlab.example.com/trade/order.git");
        assert_eq!(parent.resolve("../common.git").unwrap().as_str(), "https://gitlab.example.com/trade/common.git");
        assert_eq!(parent.resolve("ssh://h/x").unwrap().as_str(), "ssh://h/x");
        assert!(parent.resolve("../../../x").is_err());
        assert!(parent.resolve("/etc").is_err());
        assert!(parent.resolve("ext::sh").is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_parsed_url_is_a_fixed_point(text in "(https|ssh|file|git@h)[:/a-z.@%0-9-]{0,40}") {
            if let Ok(parsed) = text.parse::<RepositoryUrl>() {
                proptest::prop_assert_eq!(parsed.as_str().parse::<RepositoryUrl>(), Ok(parsed.clone()));
                proptest::prop_assert!(!parsed.path().split('/').any(|part| part == ".."));
            }
        }
    }
}
