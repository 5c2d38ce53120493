//! `slipway images`: what a registry holds, brought from product line to product line and from registry to registry.

use std::process::ExitCode;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::args::{Cli, FormatKind, ImagesVerb};
use super::{print, setup};
use crate::config::Config;
use crate::image::{assembler, transfer};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;
use crate::model::scan::Severity;
use crate::work::unless_cancelled;

/// Does what the verb says.
pub(super) async fn images(cli: &Cli, verb: &ImagesVerb, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    unless_cancelled(cancel, act(cli, verb)).await
}

async fn act(cli: &Cli, verb: &ImagesVerb) -> Result<ExitCode, Failure> {
    let services = setup::planning(cli)?;
    match verb {
        ImagesVerb::Check { layout, format } => {
            let image = assembler::check(layout).await?;
            if format.format != FormatKind::Text {
                return print::json(&json!({ "version": 1, "layout": layout.to_string(), "image": image }));
            }
            anstream::println!("{layout}: {} layers, {} entries, whole", image.layers.len(), image.entries);
            anstream::println!("{}", image.digest);
            Ok(ExitCode::SUCCESS)
        }
        ImagesVerb::List { repository, format } => {
            let reference = named(&services.config, repository)?;
            let found = services.images(&reference).await?;
            let rows: Vec<Value> = found.iter().map(row).collect();
            if format.format != FormatKind::Text {
                return print::json(&json!({ "version": 1, "repository": reference.name(), "images": rows }));
            }
            for row in &rows {
                anstream::println!("{}", line(row));
            }
            Ok(ExitCode::SUCCESS)
        }
        ImagesVerb::Promote { from, to, format } => {
            let from = named(&services.config, from)?;
            let to = target(&services.config, &from, to)?;
            let id = asking();
            // No project is made for what is not there.
            let looked = services.with_accounts(std::slice::from_ref(&from), &id, async |places| {
                for place in places {
                    transfer::there(place).await?;
                }
                Ok(())
            });
            looked.await?;
            services.project_for(&to, &id).await?;
            let say = |line: &str| anstream::eprintln!("{line}");
            let images = [from, to];
            let copied = services.with_accounts(&images, &id, async |places| {
                let [from, to] = places else { return Err(Failure::new(FailureCode::Internal, "two places are two")) };
                transfer::copy(from, to, &say).await
            });
            let copied = copied.await?;
            if format.format != FormatKind::Text {
                return print::json(&json!({ "version": 1, "image": copied }));
            }
            anstream::println!("{}@{}", copied.reference, copied.digest);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The id of what is done now, for the registries' own logs (`X-Request-Id`); people are told it.
pub(super) fn asking() -> String {
    let id = uuid::Uuid::now_v7().to_string();
    anstream::eprintln!("registries log this as {id}");
    id
}

/// A reference; without a registry it is one of the configured registry's.
pub(super) fn named(config: &Config, text: &str) -> Result<ImageReference, Failure> {
    text.parse().or_else(|error| {
        let invalid = |why: String| {
            Failure::new(FailureCode::RequestInvalid, why).hint(
                "write `product-line/application:tag`, with `registry.example.com/` before it for another registry",
            )
        };
        let host = config.registry.host.as_ref().ok_or_else(|| invalid(format!("{error}")))?;
        format!("{host}/{text}").parse().map_err(|error| invalid(format!("{error}")))
    })
}

/// Where an image goes: what is not said stays as it is.
fn target(config: &Config, from: &ImageReference, to: &str) -> Result<ImageReference, Failure> {
    let to = named(config, to)?;
    if to.digest().is_some() || (to.tag().is_none() && from.tag().is_none()) {
        let message = format!("`{to}` is no place for an image: name a tag, and no digest");
        return Err(Failure::new(FailureCode::RequestInvalid, message));
    }
    let tag = to.tag().or(from.tag()).cloned();
    ImageReference::new(to.registry(), to.repository(), tag, None)
        .map_err(|error| Failure::new(FailureCode::RequestInvalid, error.to_string()))
}

/// What people and programs want to know of an image.
fn row(artifact: &Value) -> Value {
    let names = |key: &str| -> Vec<&str> {
        artifact[key].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect()
    };
    let scan = artifact["scan_overview"].as_object().and_then(|all| all.values().next());
    // What was not scanned has no severity, which is not the same as none.
    let severity = scan
        .filter(|scan| scan["scan_status"] == "Success")
        .and_then(|scan| scan["severity"].as_str())
        .map(|word| Severity::of(word).name());
    json!({
        "digest": artifact["digest"], "tags": names("tags"), "labels": names("labels"), "size": artifact["size"],
        "pushed_at": artifact["push_time"], "severity": severity,
    })
}

fn line(row: &Value) -> String {
    let list = |key: &str| -> String {
        let all = row[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.collect::<Vec<_>>().join(",")
    };
    let megabytes = row["size"].as_u64().unwrap_or_default() / 1_000_000;
    let digest = row["digest"].as_str().and_then(|digest| digest.get(..19)).unwrap_or_default();
    let severity = row["severity"].as_str().unwrap_or("not scanned");
    let pushed = row["pushed_at"].as_str().unwrap_or_default();
    format!("{digest}  {pushed:<24} {megabytes:>6} MB  {severity:<12} {:<30} {}", list("tags"), list("labels"))
}
