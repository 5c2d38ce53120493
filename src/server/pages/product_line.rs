//! The page of a product line: its applications, and how its builds go.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use super::{Refused, Viewer, application, overview, page};
use crate::server::Shared;
use crate::server::http::problem::Problem;
use crate::server::store::builds::{Build, Filter};

/// Builds whose outcomes are counted.
const COUNTED: i64 = 100;

/// Builds that are shown.
const SHOWN: usize = 20;

pub(super) async fn product_line(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let nothing = || Problem::not_found("there is no such product line");
    // `*` means all of them elsewhere.
    if name == "*" || !who.sees(&name) {
        return Err(nothing().into());
    }
    let (applications, more) = application::rows(&shared, &name, "", "").await?;
    let filter = Filter { product_line: name.clone(), limit: COUNTED, ..Filter::default() };
    let builds = shared.store.builds(&filter).await?;
    if applications.is_empty() && builds.is_empty() {
        return Err(nothing().into());
    }
    let over: Vec<&Build> = builds.iter().filter(|build| application::says_something(build)).collect();
    let succeeded = over.iter().filter(|build| build.state == "succeeded").count();
    let (now, ended): (Vec<Build>, Vec<Build>) = builds.iter().cloned().partition(|build| !build.is_over());
    let values = json!({
        "product_line": name, "applications": applications, "more": more.is_some(),
        "success": if over.is_empty() { String::new() } else { format!("{succeeded} of {}", over.len()) },
        "current": overview::rows(&shared, &now),
        "builds": overview::rows(&shared, &ended[..ended.len().min(SHOWN)]),
    });
    page(&who, "product_line.html", &name, values)
}
