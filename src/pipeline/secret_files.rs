//! Files with credentials, written for the one step that needs them.

use std::path::PathBuf;

use serde_json::json;

use super::services::Services;
use crate::model::command::FileMount;
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::plan::Plan;
use crate::workspace::Workspace;

/// Files that the commands of a step see, and the values that its log must not show.
#[derive(Default)]
pub(super) struct SecretFiles {
    pub(super) files: Vec<FileMount>,
    pub(super) secrets: Vec<String>,
}

/// Writes the files of a step.
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
    let settings = serde_json::to_value(&services.config).unwrap_or_default();
    for (index, (target, file)) in plan.secret_files.iter().filter(|(_, file)| file.step == step).enumerate() {
        let setting = file.setting.split('.').try_fold(&settings, |value, key| value.get(key));
        let text_of = |key: &str| setting.and_then(|setting| setting.get(key)).and_then(serde_json::Value::as_str);
        let (Some(url), Some(name)) = (text_of("url"), text_of("credentials")) else { continue };
        let invalid =
            |why: String| Failure::new(FailureCode::ConfigurationInvalid, format!("`{}`: {why}", file.setting));
        let parsed = url::Url::parse(url).map_err(|error| invalid(format!("`{url}`: {error}")))?;
        let host = parsed.host_str().map(|host| parsed.port().map_or(host.to_owned(), |port| format!("{host}:{port}")));
        let host = host.ok_or_else(|| invalid(format!("`{url}` has no host")))?;
        let account = crate::secrets::account(&services.config, name, &host, &plan.application.product_line).await?;
        let context = json!({ "url": url, "username": account.username, "password": account.password });
        let context = tera::Context::from_serialize(&context).map_err(|error| invalid(error.to_string()))?;
        // Escaped for XML: a password may hold any character.
        let text = tera::Tera::one_off(&file.text, &context, true).map_err(|error| invalid(error.to_string()))?;
        let source = workspace.files().join(format!("{step}-{index}"));
        tokio::fs::write(&source, text).await.map_err(|error| {
            Failure::new(FailureCode::Internal, format!("`{}` cannot be written: {error}", source.display()))
        })?;
        written.files.push(FileMount { source, target: PathBuf::from(target) });
        written.secrets.push(account.password);
    }
    Ok(written)
}
