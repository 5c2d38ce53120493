//! Secrets by name: values are read when a step needs them, from where the operator put them.

use std::path::PathBuf;

use crate::config::{Config, CredentialsConfig, SecretSource};
use crate::model::failure::{Failure, FailureCode};

/// A name and a password.
#[derive(Clone)]
pub struct Account {
    /// The account.
    pub username: String,
    /// Its password.
    pub password: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A private key for Git over SSH, and the file with the keys of the hosts it is shown to.
#[derive(Clone)]
pub struct SshKey {
    /// The key, in whatever form ssh reads.
    pub key: String,
    /// The file with the hosts' keys; the machine's own if absent.
    pub known_hosts: Option<PathBuf>,
}

impl std::fmt::Debug for SshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SshKey").field("known_hosts", &self.known_hosts).finish_non_exhaustive()
    }
}

/// The account of a name, where the operator allows it for this host and product line.
///
/// # Errors
/// `configuration_invalid` where the name, the permission or the secret is missing.
pub async fn account(config: &Config, name: &str, host: &str, product_line: &str) -> Result<Account, Failure> {
    let entry = permitted(config, name, host, product_line)?;
    let source = entry.password.as_ref().ok_or_else(|| lacking(name, "password", host))?;
    Ok(Account { username: entry.username.clone(), password: value(name, source).await? })
}

/// The SSH key of a name, where the operator allows it for this host and product line.
///
/// # Errors
/// As [`account`].
pub async fn ssh_key(config: &Config, name: &str, host: &str, product_line: &str) -> Result<SshKey, Failure> {
    let entry = permitted(config, name, host, product_line)?;
    let source = entry.ssh_key.as_ref().ok_or_else(|| lacking(name, "ssh_key", host))?;
    let key = value(name, source).await?;
    // ssh itself says no more than that the host refused it.
    if !key.contains("PRIVATE KEY-----") {
        return Err(invalid(name, "hold no private key in `ssh_key`")
            .hint("name the file without `.pub`, as `ssh-keygen` writes it"));
    }
    Ok(SshKey { key, known_hosts: entry.known_hosts.clone() })
}

/// The secret that others show to prove who they are, where the operator allows it for this product line. It is shown to
/// no host, so no host is asked for.
///
/// # Errors
/// As [`account`].
pub async fn proof(config: &Config, name: &str, product_line: &str) -> Result<String, Failure> {
    let entry = known(config, name)?;
    of_product_line(entry, name, product_line)?;
    match &entry.password {
        Some(source) => value(name, source).await,
        None => Err(invalid(name, "have no `password`").hint(format!("set `credentials.{name}.password`"))),
    }
}

fn known<'a>(config: &'a Config, name: &str) -> Result<&'a CredentialsConfig, Failure> {
    config.credentials.get(name).ok_or_else(|| {
        invalid(name, "do not exist")
            .hint(format!("add `[credentials.{name}]` to the configuration"))
            .candidates(config.credentials.keys().cloned())
    })
}

fn permitted<'a>(
    config: &'a Config,
    name: &str,
    host: &str,
    product_line: &str,
) -> Result<&'a CredentialsConfig, Failure> {
    let entry = known(config, name)?;
    if !entry.hosts.iter().any(|allowed| allowed == host) {
        return Err(invalid(name, &format!("may not be used for the host `{host}`"))
            .hint(format!("add it to `credentials.{name}.hosts`")));
    }
    of_product_line(entry, name, product_line)?;
    Ok(entry)
}

fn of_product_line(entry: &CredentialsConfig, name: &str, product_line: &str) -> Result<(), Failure> {
    if entry.product_lines.iter().any(|allowed| allowed == "*" || allowed == product_line) {
        return Ok(());
    }
    Err(invalid(name, &format!("may not be used by the product line `{product_line}`"))
        .hint(format!("add it to `credentials.{name}.product_lines`")))
}

async fn value(name: &str, source: &SecretSource) -> Result<String, Failure> {
    match source {
        SecretSource::File(path) => {
            let text = tokio::fs::read_to_string(path)
                .await
                .map_err(|error| invalid(name, &format!("cannot be read from `{}`: {error}", path.display())))?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        SecretSource::Env(variable) => crate::environment::variable(variable)
            .ok_or_else(|| invalid(name, &format!("need the environment variable `{variable}`"))),
        SecretSource::Command(command) => {
            from_command(command).await.map_err(|why| invalid(name, &format!("cannot be had: {why}")))
        }
    }
}

fn invalid(name: &str, why: &str) -> Failure {
    Failure::new(FailureCode::ConfigurationInvalid, format!("the credentials `{name}` {why}"))
}

fn lacking(name: &str, key: &str, host: &str) -> Failure {
    invalid(name, &format!("have no `{key}`, which `{host}` asks for"))
        .hint(format!("set `credentials.{name}.{key}`, or name other credentials"))
}

async fn from_command(command: &[String]) -> Result<String, String> {
    let (program, args) = command.split_first().ok_or("the command is empty")?;
    let mut spec = crate::process::Program::new(program.clone(), args.iter().cloned());
    spec.env.extend(crate::environment::all());
    let captured = crate::process::capture(&spec, &tokio_util::sync::CancellationToken::new())
        .await
        .map_err(|error| format!("`{program}`: {error}"))?;
    if !captured.success() {
        return Err(format!("`{program}` ended with exit code {}", captured.code));
    }
    let text = String::from_utf8(captured.stdout).map_err(|_| format!("`{program}` printed no UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
