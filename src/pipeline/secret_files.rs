//! Files with credentials, written for the one step that needs them.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::services::Services;
use crate::model::command::FileMount;
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::plan::{Escape, Plan, PlannedSecretFile};
use crate::workspace::Workspace;

/// Files that the commands of a step see, and the values that its log must not show.
#[derive(Default)]
pub(super) struct SecretFiles {
    pub(super) files: Vec<FileMount>,
    pub(super) secrets: Vec<String>,
}

/// They are there while the command runs, and not longer.
impl Drop for SecretFiles {
    fn drop(&mut self) {
        for file in &self.files {
            // The workspace's end removes what cannot be removed now.
            let _ = std::fs::remove_file(&file.source);
        }
    }
}

/// An account as templates see it.
#[derive(Serialize)]
struct Account {
    url: String,
    /// Without the port.
    host: String,
    /// With the port, where the URL has one.
    address: String,
    username: String,
    password: String,
}

/// Writes the files of a step; one that no account goes into is not made.
///
/// # Errors
/// `configuration_invalid` where the operator's setting or credentials cannot be used.
pub(super) async fn write(
    services: &Services,
    plan: &Plan,
    step: Step,
    workspace: &Workspace,
) -> Result<SecretFiles, Failure> {
    let mut written = SecretFiles::default();
    let config = serde_json::to_value(&services.config).unwrap_or_default();
    for (index, (target, file)) in plan.secret_files.iter().filter(|(_, file)| file.step == step).enumerate() {
        let mut accounts = Vec::new();
        for setting in &file.settings {
            accounts.extend(accounts_of(services, &config, setting, &plan.application.product_line).await?);
        }
        if accounts.is_empty() {
            continue;
        }
        if file.escape == Escape::Netrc {
            accounts.iter().try_for_each(netrc)?;
        }
        let text = render(file, &accounts)?;
        let source = workspace.files().join(format!("{step}-{index}"));
        private(&source, &text).map_err(|error| {
            Failure::new(FailureCode::Internal, format!("`{}` cannot be written: {error}", source.display()))
        })?;
        written.files.push(FileMount { source, target: PathBuf::from(target) });
        written.secrets.extend(accounts.into_iter().map(|account| account.password));
    }
    Ok(written)
}

/// The accounts of a setting: `{ url, credentials }`, or a list of such. A URL alone has none.
async fn accounts_of(
    services: &Services,
    config: &Value,
    setting: &str,
    product_line: &str,
) -> Result<Vec<Account>, Failure> {
    let Some(value) = setting.split('.').try_fold(config, |value, key| value.get(key)) else { return Ok(Vec::new()) };
    let entries = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    let mut accounts = Vec::new();
    for entry in entries {
        let text_of = |key: &str| entry.get(key).and_then(Value::as_str);
        let (Some(urls), Some(name)) = (text_of("url"), text_of("credentials")) else { continue };
        let invalid = |why: String| Failure::new(FailureCode::ConfigurationInvalid, format!("`{setting}`: {why}"));
        // A list of proxies holds words beside URLs.
        for url in urls.split([',', '|']).filter(|url| url.contains("://")) {
            let parsed = url::Url::parse(url).map_err(|error| invalid(format!("`{url}`: {error}")))?;
            let host = parsed.host_str().ok_or_else(|| invalid(format!("`{url}` has no host")))?;
            let with_port = parsed.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
            let account = crate::secrets::account(&services.config, name, &with_port, product_line).await?;
            let (username, password) = (account.username, account.password);
            accounts.push(Account {
                url: url.to_owned(),
                host: host.to_owned(),
                address: with_port,
                username,
                password,
            });
        }
    }
    Ok(accounts)
}

/// Renders the text; values are escaped for its format.
fn render(file: &PlannedSecretFile, accounts: &[Account]) -> Result<String, Failure> {
    let invalid = |error: tera::Error| {
        // Never the error's own text: it may quote a value.
        drop(error);
        let message = "a file with credentials cannot be made: its template does not fit";
        Failure::new(FailureCode::ConfigurationInvalid, message)
            .hint("correct `secret_files` of the toolchain in the catalogue")
    };
    let mut context = tera::Context::new();
    context.insert("accounts", &accounts);
    if let Some(first) = accounts.first() {
        context.insert("url", &first.url);
        context.insert("username", &first.username);
        context.insert("password", &first.password);
    }
    tera::Tera::one_off(&file.text, &context, file.escape == Escape::Xml).map_err(invalid)
}

/// Refuses what `netrc` cannot hold: its readers agree on no way to quote.
fn netrc(account: &Account) -> Result<(), Failure> {
    let plain = |text: &str| {
        let unfit = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\');
        !text.is_empty() && !text.contains(unfit) && !text.starts_with('#')
    };
    if plain(&account.username) && plain(&account.password) {
        return Ok(());
    }
    let message = format!("the account for `{}` holds a space, a quote, a backslash or a leading `#`", account.host);
    Err(Failure::new(FailureCode::ConfigurationInvalid, message)
        .hint("give it a password without these: tools read it from a `netrc`, which cannot hold them"))
}

fn private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

/// The passwords in an XML file of the operator's, which no log shows.
pub(super) fn passwords(path: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    let Ok(document) = roxmltree::Document::parse(&text) else { return Vec::new() };
    let secret = |name: &str| ["password", "passphrase", "privateKey", "value"].contains(&name);
    let nodes = document.descendants().filter(|node| node.is_element() && secret(node.tag_name().name()));
    nodes.filter_map(|node| Some(node.text()?.trim().to_owned())).filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(password: &str) -> Account {
        let (url, host) = ("https://nexus.example.com/".to_owned(), "nexus.example.com".to_owned());
        Account { url, address: host.clone(), host, username: "ada".to_owned(), password: password.to_owned() }
    }

    fn file(escape: Escape, text: &str) -> PlannedSecretFile {
        PlannedSecretFile { step: Step::Compile, settings: Vec::new(), escape, text: text.to_owned() }
    }

    #[test]
    fn values_are_escaped_for_the_format() {
        let xml = render(&file(Escape::Xml, "<p>{{ password }}</p>"), &[account("a<b&c")]).unwrap();
        assert_eq!(xml, "<p>a&lt;b&amp;c</p>");
        let text = "{% for one in accounts %}machine {{ one.host }} password {{ one.password }}\n{% endfor %}";
        let netrc = render(&file(Escape::Netrc, text), &[account("a<b&c")]).unwrap();
        assert_eq!(netrc, "machine nexus.example.com password a<b&c\n");
    }

    #[test]
    fn what_a_netrc_cannot_hold_is_refused_without_showing_it() {
        for bad in ["two words", "quo\"te", "back\\slash", "line\nbreak", "#comment", ""] {
            let failure = netrc(&account(bad)).unwrap_err();
            assert!(bad.is_empty() || !failure.message.contains(bad), "{}", failure.message);
        }
        assert_eq!(netrc(&account("p4$$:w/rd#")), Ok(()));
    }

    #[test]
    fn passwords_of_a_settings_file_are_known() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "<settings><servers><server><id>a</id><password>hunter2</password></server></servers></settings>";
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(passwords(file.path()), ["hunter2"]);
        assert!(passwords(Path::new("/nonexistent")).is_empty());
    }
}
