//! How Git starts ssh: no questions, no configuration of the machine or the account, known hosts only.

use std::ffi::OsString;
use std::path::Path;

use super::access::Access;
use crate::model::source::RepositoryUrl;

/// What always holds: nothing is asked, nothing forwarded, an unknown host is refused, silence ends.
const OPTIONS: &str = "ssh -F /dev/null -oBatchMode=yes -oStrictHostKeyChecking=yes -oUpdateHostKeys=no \
    -oClearAllForwardings=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4 \
    -oPreferredAuthentications=publickey";

/// The variables that make Git start it so.
pub(super) fn environment(access: &Access, url: &RepositoryUrl) -> Vec<(String, OsString)> {
    let agent = crate::environment::variable("SSH_AUTH_SOCK").filter(|_| access.own_ssh);
    let agent = agent.map(|socket| ("SSH_AUTH_SOCK".to_owned(), socket.into()));
    let ssh = [("GIT_SSH_COMMAND".to_owned(), command(access, url)), ("GIT_SSH_VARIANT".to_owned(), "ssh".into())];
    ssh.into_iter().chain(agent).collect()
}

/// Git hands the line to a shell, so paths are quoted.
fn command(access: &Access, url: &RepositoryUrl) -> OsString {
    let mut line = OsString::from(OPTIONS);
    if let Some(identity) = access.ssh(url) {
        line.push(" -oIdentitiesOnly=yes -oIdentityAgent=none -oIdentityFile=");
        line.push(quoted(identity.key()));
        line.push(" -oUserKnownHostsFile=");
        line.push(identity.known_hosts().map_or_else(|| "/dev/null".into(), quoted));
    } else if !access.own_ssh {
        // The account that Slipway runs as has keys of its own, which are nobody's to use.
        line.push(" -oIdentitiesOnly=yes -oIdentityAgent=none -oIdentityFile=none -oUserKnownHostsFile=/dev/null");
    }
    line
}

/// For the shell, and within that for ssh, which splits at spaces and expands `%` (`ssh_config(5)`).
fn quoted(path: &Path) -> String {
    let for_ssh = path.to_string_lossy().replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    format!("'\"{}\"'", for_ssh.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::access::{Credentials, SshIdentity};

    #[test]
    fn a_key_is_for_its_hosts_alone_and_no_other_key_is_tried() {
        let known = Some("/etc/slip way/it's 100%".into());
        let ssh = Some(SshIdentity::new("key", known).unwrap());
        let credentials = Credentials { ssh, hosts: vec!["gitlab.example.com".into()], ..Credentials::default() };
        let access = Access { credentials: Some(credentials), ..Access::default() };
        let line = |url: &str| command(&access, &url.parse().unwrap()).into_string().unwrap();
        let own = line("git@gitlab.example.com:a/b.git");
        assert!(own.starts_with("ssh -F /dev/null ") && own.contains("-oIdentitiesOnly=yes"), "{own}");
        assert!(own.ends_with(r#" -oUserKnownHostsFile='"/etc/slip way/it'\''s 100%%"'"#), "{own}");
        let other = line("git@elsewhere.example.com:a/b.git");
        assert!(other.contains("-oIdentityFile=none") && !other.contains("slipway-ssh-"), "{other}");
    }
}
