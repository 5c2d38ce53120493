//! Styles and the script: part of the program, so that a page asks no other host.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

use super::Refused;
use crate::server::http::problem::Problem;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/src/server/pages/assets"]
struct Assets;

pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Refused> {
    // A name that was not embedded is not there, whatever it spells.
    let asset = Assets::get(&name).ok_or_else(|| Problem::not_found("there is no such asset"))?;
    let tag = format!("\"{}\"", &hex::encode(asset.metadata.sha256_hash())[..32]);
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let caching = [(header::ETAG, tag), (header::CACHE_CONTROL, "public, max-age=300".to_owned())];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    Ok((caching, [(header::CONTENT_TYPE, kind)], asset.data.into_owned()).into_response())
}
