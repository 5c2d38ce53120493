//! `slipway cache`: the blobs of images that Slipway assembled.

use std::process::ExitCode;

use serde_json::json;

use super::args::{CacheVerb, Cli, FormatKind};
use super::setup;
use crate::environment;
use crate::image::assembler::{Cache, Limits};
use crate::model::failure::{Failure, FailureCode};

/// Does what the verb says.
pub(super) async fn cache(cli: &Cli, verb: &CacheVerb) -> Result<ExitCode, Failure> {
    let config = setup::config(cli)?;
    let directory = config.cache.directory.clone().unwrap_or_else(environment::cache_directory);
    let cache = Cache::new(directory.join("images")).base_images(directory.join("base-images"));
    let verb = verb.clone();
    let done = tokio::task::spawn_blocking(move || act(&cache, &verb)).await;
    let done = done.map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
    done.map_err(|error| {
        Failure::new(FailureCode::Internal, format!("the cache of images `{}`: {error}", directory.display()))
            .hint("See that the directory can be read and written; what is in it is made anew when it is missing.")
    })
}

fn act(cache: &Cache, verb: &CacheVerb) -> std::io::Result<ExitCode> {
    match verb {
        CacheVerb::Ls(format) => {
            let holdings = cache.list()?;
            if format.format == FormatKind::Text {
                for holding in holdings {
                    let megabytes = holding.bytes / 1_000_000;
                    anstream::println!("{:<10} {:>8} files {megabytes:>8} MB", holding.kind, holding.files);
                }
            } else {
                anstream::println!("{}", json!({ "version": 1, "holdings": holdings }));
            }
            Ok(ExitCode::SUCCESS)
        }
        CacheVerb::Verify(format) => {
            let damaged = cache.verify()?;
            if format.format == FormatKind::Text {
                for digest in &damaged {
                    anstream::println!("{digest} was damaged and is removed");
                }
            } else {
                anstream::println!("{}", json!({ "version": 1, "damaged": damaged }));
            }
            Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        CacheVerb::Gc { size, age, format } => {
            let usual = Limits::default();
            let limits = Limits { size: size.unwrap_or(usual.size), age: age.unwrap_or(usual.age) };
            let (files, bytes) = cache.collect(limits)?;
            if format.format == FormatKind::Text {
                anstream::println!("{files} files removed, {} MB", bytes / 1_000_000);
            } else {
                anstream::println!("{}", json!({ "version": 1, "files": files, "bytes": bytes }));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
