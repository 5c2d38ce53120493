//! What the words of git and ssh mean. They are the only thing that these give; `LC_ALL=C` keeps them stable.

use super::git::tail;
use crate::model::failure::{Failure, FailureCode};
use crate::model::source::{RepositoryUrl, Transport};

/// Words, any of which mean this, in lower case.
struct Meaning {
    words: &'static [&'static str],
    code: FailureCode,
    /// `{url}` stands for the repository, `{last}` for the last thing that was said.
    message: &'static str,
    /// The code's own, if empty.
    hint: &'static str,
}

/// The first that fits counts.
const MEANINGS: &[Meaning] = &[
    Meaning {
        words: &["ssh: not found", "cannot run ssh", "ssh: command not found"],
        code: FailureCode::ToolMissing,
        message: "`{url}` needs the `ssh` program, which is not installed",
        hint: "install OpenSSH's client",
    },
    Meaning {
        words: &["remote host identification has changed", "host key for"],
        code: FailureCode::SourceUnavailable,
        message: "`{url}` shows another host key than the one that is known: somebody may be listening in",
        hint: "ask who runs the host; if its key has changed, correct the file that `known_hosts` of the credentials names",
    },
    Meaning {
        words: &["host key verification failed", "host key is known"],
        code: FailureCode::SourceUnavailable,
        message: "the host of `{url}` is not among the known hosts, and no unknown host is trusted",
        hint: "add its key, as `ssh-keyscan` prints it, to the file that `known_hosts` of the credentials names",
    },
    Meaning {
        words: &["load key"],
        code: FailureCode::ConfigurationInvalid,
        message: "the SSH key for `{url}` cannot be read: it is no private key, or it has a passphrase",
        hint: "correct `ssh_key` of the credentials; a key for a service has no passphrase",
    },
    Meaning {
        words: &["permission denied (", "too many authentication failures"],
        code: FailureCode::SourceUnauthorized,
        message: "`{url}` asks for an SSH key, or refused the one given",
        hint: "name credentials whose `ssh_key` may read it, and whose `hosts` list its host: `source.credentials`",
    },
    Meaning {
        words: &[
            "could not read username",
            "authentication failed",
            "access denied",
            "permission denied",
            "error: 401",
            "error: 403",
        ],
        code: FailureCode::SourceUnauthorized,
        message: "`{url}` asks for credentials, or refused those given",
        hint: "",
    },
    Meaning {
        words: &[
            "not found",
            "does not exist",
            "error: 404",
            "not appear to be a git repository",
            "could not be found",
        ],
        code: FailureCode::SourceNotFound,
        message: "there is no repository at `{url}`, or it is not shown to us",
        hint: "",
    },
    Meaning {
        words: &["no space left on device"],
        code: FailureCode::DiskFull,
        message: "the disk filled up while the repository was fetched",
        hint: "",
    },
    Meaning {
        words: &["corruption on the remote side"],
        code: FailureCode::SourceUnavailable,
        message: "the repository at `{url}` is damaged: its server cannot read all of its objects",
        hint: "ask who runs the Git server to look at the repository with `git fsck`; trying again changes nothing",
    },
    Meaning {
        words: &["' not allowed"],
        code: FailureCode::SourceForbidden,
        message: "`{url}` speaks a protocol that is not allowed",
        hint: "",
    },
    Meaning {
        words: &["certificate"],
        code: FailureCode::SourceUnavailable,
        message: "`{url}` cannot prove who it is: {last}",
        hint: "give Slipway the authority: `network.ca_bundle`",
    },
    Meaning { words: &[""], code: FailureCode::SourceUnavailable, message: "`{url}` did not answer: {last}", hint: "" },
];

/// What stopped git from speaking to a repository.
pub(super) fn classify(url: &RepositoryUrl, stderr: &str) -> Failure {
    let text = stderr.to_lowercase();
    let meaning = MEANINGS.iter().find(|meaning| meaning.words.iter().any(|word| text.contains(word)));
    let Some(meaning) = meaning else { return Failure::new(FailureCode::Internal, "git said nothing") };
    let tail = tail(stderr);
    let message = meaning.message.replace("{url}", url.as_str()).replace("{last}", last(url, &tail));
    let mut failure = Failure::new(meaning.code, message).log_tail(tail);
    // Only silence passes by itself: what nobody vouches for stays so.
    failure.retryable &= meaning.hint.is_empty();
    if meaning.hint.is_empty() { failure } else { failure.hint(meaning.hint) }
}

/// The line that says most: of ssh itself, or else git's last word.
fn last<'a>(url: &RepositoryUrl, tail: &'a [String]) -> &'a str {
    let begins = |start: &'static str| tail.iter().rev().find(move |line| line.starts_with(start));
    let of_ssh = begins("ssh: ").filter(|_| url.transport() == Transport::Ssh);
    of_ssh.or_else(|| begins("fatal: ")).or(tail.last()).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_codes() {
        use FailureCode::{
            ConfigurationInvalid, SourceForbidden, SourceNotFound, SourceUnauthorized, SourceUnavailable, ToolMissing,
        };
        let url = "https://gitlab.example.com/trade/order".parse().unwrap();
        for (words, code, retryable) in [
            ("fatal: could not read Username for 'https://x': terminal prompts disabled", SourceUnauthorized, false),
            ("fatal: repository 'https://x/' not found", SourceNotFound, false),
            ("fatal: unable to access 'x': Could not resolve host: x", SourceUnavailable, true),
            ("fatal: unable to access 'x': The requested URL returned error: 503", SourceUnavailable, true),
            ("fatal: transport 'file' not allowed", SourceForbidden, false),
            ("SSL certificate problem: unable to get local issuer certificate", SourceUnavailable, false),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote", SourceUnauthorized, false),
            (
                "Load key \"/tmp/k\": error in libcrypto\ngit@h: Permission denied (publickey).",
                ConfigurationInvalid,
                false,
            ),
            ("No ED25519 host key is known for h\nHost key verification failed.", SourceUnavailable, false),
            ("Host key for h has changed\nHost key verification failed.", SourceUnavailable, false),
            (
                "remote: fatal: unable to read 4b49\nremote: aborting due to possible repository corruption on the remote side.\n\
                 fatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
                SourceUnavailable,
                false,
            ),
            ("sh: 1: ssh: not found\nfatal: Could not read from remote", ToolMissing, false),
            ("", SourceUnavailable, true),
        ] {
            let failure = classify(&url, words);
            assert_eq!((failure.code, failure.retryable), (code, retryable), "{words}");
        }
    }

    #[test]
    fn what_ssh_says_is_worth_more_than_that_git_could_not_read() {
        let url = "ssh://git@gitlab.example.com/trade/order".parse().unwrap();
        let words = "ssh: connect to host gitlab.example.com port 22: Connection refused\n\
                     fatal: Could not read from remote repository.\n\nPlease make sure you have the rights\n";
        let failure = classify(&url, words);
        assert!(failure.message.ends_with("Connection refused"), "{}", failure.message);
    }
}
