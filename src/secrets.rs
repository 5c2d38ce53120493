//! Secrets by name: values are read when a step needs them, from where the operator put them.

use crate::config::{Config, SecretSource};
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

/// The account of a name, where the operator allows it for this host and product line.
///
/// # Errors
/// `configuration_invalid` where the name, the permission or the secret is missing.
pub async fn account(config: &Config, name: &str, host: &str, product_line: &str) -> Result<Account, Failure> {
    let invalid =
        |why: String| Failure::new(FailureCode::ConfigurationInvalid, format!("the credentials `{name}` {why}"));
    let entry = config.credentials.get(name).ok_or_else(|| {
        invalid("do not exist".to_owned())
            .hint(format!("add `[credentials.{name}]` to the configuration"))
            .candidates(config.credentials.keys().cloned())
    })?;
    if !entry.hosts.iter().any(|allowed| allowed == host) {
        return Err(invalid(format!("may not be used for the host `{host}`"))
            .hint(format!("add it to `credentials.{name}.hosts`")));
    }
    if !entry.product_lines.iter().any(|allowed| allowed == "*" || allowed == product_line) {
        return Err(invalid(format!("may not be used by the product line `{product_line}`"))
            .hint(format!("add it to `credentials.{name}.product_lines`")));
    }
    let password = match &entry.password {
        SecretSource::File(path) => {
            let text = tokio::fs::read_to_string(path)
                .await
                .map_err(|error| invalid(format!("cannot be read from `{}`: {error}", path.display())))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        SecretSource::Env(variable) => crate::environment::variable(variable)
            .ok_or_else(|| invalid(format!("need the environment variable `{variable}`")))?,
        SecretSource::Command(command) => {
            from_command(command).await.map_err(|why| invalid(format!("cannot be had: {why}")))?
        }
    };
    Ok(Account { username: entry.username.clone(), password })
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
