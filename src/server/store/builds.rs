//! Builds of the history: written when they are asked for, read by pages and API.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::{Change, Store, escaped, failed, number, text};
use crate::message::BuildMessage;
use crate::model::failure::{Failure, FailureCode};
use crate::model::report::BuildReport;
use crate::traces;

/// A build, from being asked for to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::server) struct Build {
    pub(in crate::server) id: String,
    pub(in crate::server) created_ms: i64,
    pub(in crate::server) product_line: String,
    pub(in crate::server) application: String,
    /// `queued`, `running`, or the outcome's name.
    pub(in crate::server) state: String,
    pub(in crate::server) lane: String,
    /// The build message, as it was made.
    pub(in crate::server) message: String,
    pub(in crate::server) body_hash: String,
    /// What was asked for: a branch, a tag, a reference.
    pub(in crate::server) revision: String,
    pub(in crate::server) commit: String,
    /// `push`, `tag`, `merge_request`, `api`, `page`, `retry`, `reconciler`
    pub(in crate::server) cause: String,
    pub(in crate::server) who: String,
    /// The commit's first line, or what else says what it is about.
    pub(in crate::server) title: String,
    /// Who hears of it in GitLab, as JSON of [`Place`]; empty for nobody.
    pub(in crate::server) gitlab: String,
    pub(in crate::server) attempt: i64,
    /// How often the server died while it ran.
    pub(in crate::server) deaths: i64,
    pub(in crate::server) not_before_ms: i64,
    pub(in crate::server) step: String,
    /// The steps of this attempt that have begun: a line for each, of its name and its time in milliseconds.
    pub(in crate::server) steps: String,
    pub(in crate::server) worker: String,
    pub(in crate::server) started_ms: i64,
    pub(in crate::server) finished_ms: i64,
    pub(in crate::server) size: i64,
    /// The failure's code; empty for none.
    pub(in crate::server) failure: String,
    /// Why it is no longer wanted; present as soon as somebody said so.
    pub(in crate::server) cancel: Option<String>,
    /// Where in a trace it was asked for; empty for nowhere.
    pub(in crate::server) traceparent: String,
}

/// Where GitLab is told of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server) struct Place {
    /// The project whose commit gets the status; 0 for none.
    pub(in crate::server) project: u64,
    /// The same project by its path, where no event told its number; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::server) path: String,
    /// The merge request that gets a comment, and its project.
    #[serde(default)]
    pub(in crate::server) merge_request: Option<(u64, u64)>,
}

impl Place {
    /// Whether a commit gets a status.
    pub(in crate::server) fn wants_status(&self) -> bool {
        self.project > 0 || !self.path.is_empty()
    }
}

/// How far back a text is looked for; no index helps with that.
pub(in crate::server) const SEARCHED: i64 = 20_000;

/// Which builds are wanted; empty texts are no condition.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Filter {
    pub(in crate::server) product_line: String,
    pub(in crate::server) application: String,
    pub(in crate::server) state: String,
    pub(in crate::server) commit: String,
    pub(in crate::server) revision: String,
    /// The beginning of a commit; or a part of a name, a title, a revision or an id, among the newest [`SEARCHED`].
    pub(in crate::server) search: String,
    /// Older than this one.
    pub(in crate::server) before: Option<(i64, String)>,
    pub(in crate::server) limit: i64,
}

impl Build {
    /// A build that is asked for now.
    pub(in crate::server) fn asked(message: &BuildMessage, cause: &str, who: &str) -> Result<Self, Failure> {
        let body =
            serde_json::to_string(message).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
        Ok(Self {
            id: message.id.to_string(),
            created_ms: super::now(),
            product_line: message.application.product_line.to_string(),
            application: message.application.name.to_string(),
            state: "queued".to_owned(),
            lane: message.lane.name().to_owned(),
            body_hash: super::super::hash(body.as_bytes()),
            message: body,
            revision: message.source.revision.as_ref().map(ToString::to_string).unwrap_or_default(),
            commit: message.source.commit.as_ref().map(ToString::to_string).unwrap_or_default(),
            cause: cause.to_owned(),
            who: who.to_owned(),
            attempt: 1,
            traceparent: traces::position().unwrap_or_default(),
            ..Self::default()
        })
    }

    /// Whether it has ended.
    pub(in crate::server) fn is_over(&self) -> bool {
        !matches!(self.state.as_str(), "queued" | "running")
    }

    /// Who hears of it in GitLab.
    pub(in crate::server) fn place(&self) -> Option<Place> {
        serde_json::from_str(&self.gitlab).ok()
    }

    pub(super) fn read(row: &AnyRow) -> Self {
        Self {
            id: text(row, "id"),
            created_ms: number(row, "created_ms"),
            product_line: text(row, "product_line"),
            application: text(row, "application"),
            state: text(row, "state"),
            lane: text(row, "lane"),
            message: text(row, "message"),
            body_hash: text(row, "body_hash"),
            revision: text(row, "revision"),
            commit: text(row, "commit_id"),
            cause: text(row, "cause"),
            who: text(row, "who"),
            title: text(row, "title"),
            gitlab: text(row, "gitlab"),
            attempt: number(row, "attempt"),
            deaths: number(row, "deaths"),
            not_before_ms: number(row, "not_before_ms"),
            step: text(row, "step"),
            steps: text(row, "steps"),
            worker: text(row, "worker"),
            started_ms: number(row, "started_ms"),
            finished_ms: number(row, "finished_ms"),
            size: number(row, "size"),
            failure: text(row, "failure"),
            cancel: row.try_get::<Option<String>, _>("cancel").unwrap_or_default(),
            traceparent: text(row, "traceparent"),
        }
    }

    /// Writes it, and says whether its id was free.
    pub(in crate::server) async fn insert(&self, change: &mut Change) -> Result<bool, Failure> {
        let sql = "INSERT INTO builds (id, created_ms, product_line, application, state, lane, message, body_hash, revision, \
             commit_id, cause, who, title, gitlab, attempt, deaths, not_before_ms, sent, step, worker, started_ms, \
             finished_ms, size, failure, traceparent) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, 0, 0, '', '', 0, 0, 0, '', $16) \
             ON CONFLICT (id) DO NOTHING";
        let query = sqlx::query(sql)
            .bind(&self.id)
            .bind(self.created_ms)
            .bind(&self.product_line)
            .bind(&self.application)
            .bind(&self.state)
            .bind(&self.lane)
            .bind(&self.message)
            .bind(&self.body_hash)
            .bind(&self.revision)
            .bind(&self.commit)
            .bind(&self.cause)
            .bind(&self.who)
            .bind(&self.title)
            .bind(&self.gitlab)
            .bind(self.attempt)
            .bind(&self.traceparent);
        let done = query.execute(&mut **change).await.map_err(|error| failed(&error))?;
        Ok(done.rows_affected() == 1)
    }
}

impl Store {
    /// A build by its id.
    pub(in crate::server) async fn build(&self, id: &str) -> Result<Option<Build>, Failure> {
        let row = sqlx::query("SELECT * FROM builds WHERE id = $1").bind(id).fetch_optional(&self.read).await;
        Ok(row.map_err(|error| failed(&error))?.as_ref().map(Build::read))
    }

    /// The report of a build that has ended.
    pub(in crate::server) async fn report(&self, id: &str) -> Result<Option<BuildReport>, Failure> {
        let row = sqlx::query("SELECT body FROM reports WHERE build = $1").bind(id).fetch_optional(&self.read).await;
        let row = row.map_err(|error| failed(&error))?;
        Ok(row.and_then(|row| serde_json::from_str(&text(&row, "body")).ok()))
    }

    /// Builds, newest first.
    pub(in crate::server) async fn builds(&self, filter: &Filter) -> Result<Vec<Build>, Failure> {
        let mut conditions = vec!["1 = 1".to_owned()];
        let mut values = Vec::new();
        let mut equal = |column: &str, value: &str| {
            if !value.is_empty() {
                values.push(value.to_owned());
                conditions.push(format!("{column} = ${}", values.len()));
            }
        };
        equal("product_line", &filter.product_line);
        equal("application", &filter.application);
        equal("state", &filter.state);
        equal("commit_id", &filter.commit);
        equal("revision", &filter.revision);
        let search = filter.search.to_lowercase();
        if is_commit(&search) {
            // `g` follows every digit.
            values.extend([search.clone(), format!("{search}g")]);
            conditions.push(format!("commit_id >= ${} AND commit_id < ${}", values.len() - 1, values.len()));
        } else if !search.is_empty() {
            let newest = conditions.join(" AND ");
            conditions.push(format!(
                "created_ms >= COALESCE((SELECT created_ms FROM builds WHERE {newest} \
                 ORDER BY created_ms DESC, id DESC LIMIT 1 OFFSET {SEARCHED}), 0)"
            ));
            values.push(format!("%{}%", escaped(&search)));
            let at = values.len();
            let like = |column: &str| format!("lower({column}) LIKE ${at} ESCAPE '!'");
            let columns = ["application", "product_line", "revision", "commit_id", "id", "title"].map(like);
            conditions.push(format!("({})", columns.join(" OR ")));
        }
        let count = values.len();
        if filter.before.is_some() {
            conditions.push(format!("(created_ms, id) < (${}, ${})", count + 1, count + 2));
        }
        let order = format!("ORDER BY created_ms DESC, id DESC LIMIT {}", filter.limit.clamp(1, 1000));
        // Only columns and numbers of our own stand in it.
        let sql = AssertSqlSafe(format!("SELECT * FROM builds WHERE {} {order}", conditions.join(" AND ")));
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(value);
        }
        if let Some((created_ms, id)) = &filter.before {
            query = query.bind(*created_ms).bind(id);
        }
        let rows = query.fetch_all(&self.read).await.map_err(|error| failed(&error))?;
        Ok(rows.iter().map(Build::read).collect())
    }
}

/// Whether a text is the beginning of a commit's id and hardly anything else.
fn is_commit(text: &str) -> bool {
    let hex = (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex && text.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::{commit, for_test};
    use super::*;

    fn build(id: &str, created_ms: i64) -> Build {
        let (product_line, application) = ("trade".to_owned(), "order_web".to_owned());
        Build {
            id: id.to_owned(),
            created_ms,
            product_line,
            application,
            state: "queued".to_owned(),
            ..Build::default()
        }
    }

    #[tokio::test]
    async fn builds_are_listed_newest_first_and_page_by_page() {
        let (store, _directory) = for_test().await;
        let mut change = store.change().await.unwrap();
        for (id, at) in [("a", 10), ("b", 20), ("c", 20)] {
            assert!(build(id, at).insert(&mut change).await.unwrap());
        }
        assert!(!build("a", 30).insert(&mut change).await.unwrap());
        commit(change).await.unwrap();
        let ids = async |filter: Filter| {
            store.builds(&filter).await.unwrap().into_iter().map(|build| build.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(Filter { limit: 2, ..Filter::default() }).await, ["c", "b"]);
        let before = Some((20, "b".to_owned()));
        assert_eq!(ids(Filter { limit: 2, before, ..Filter::default() }).await, ["a"]);
        let search = |text: &str| Filter { search: text.to_owned(), limit: 9, ..Filter::default() };
        assert_eq!(ids(search("R_WEB")).await.len(), 3);
        assert_eq!(ids(search("o%b")).await.len(), 0);
        let mut change = store.change().await.unwrap();
        let commit_id = "0123abcd".repeat(5);
        Build { commit: commit_id.clone(), ..build("d", 5) }.insert(&mut change).await.unwrap();
        commit(change).await.unwrap();
        assert_eq!(ids(search("0123ABCD0")).await, ["d"]);
        assert_eq!(ids(search(&commit_id)).await, ["d"]);
        assert_eq!(ids(search("0123abcd1")).await.len(), 0);
        assert_eq!(ids(search("3abcd")).await, ["d"]);
        assert_eq!(store.build("b").await.unwrap(), Some(build("b", 20)).map(|b| Build { attempt: 0, ..b }));
    }
}
