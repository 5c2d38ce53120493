//! What GitLab is to be told: the last word for each place, until GitLab has heard it.

use sqlx::AssertSqlSafe;

use super::{Change, Store, failed, now, number, text};
use crate::model::failure::Failure;

/// What is told, and to which table it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Kind {
    /// The status of a commit; one for each build.
    Status,
    /// A comment on a merge request; one for each application in it.
    Note,
}

/// A word that GitLab has not heard yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Untold {
    /// The build, or the comment's place.
    pub(in crate::server) key: String,
    /// Counts the words said for this key.
    pub(in crate::server) wanted: i64,
    pub(in crate::server) body: String,
    pub(in crate::server) tries: i64,
    /// The comment's number in GitLab, once it is there.
    pub(in crate::server) note: i64,
}

impl Kind {
    /// What it is called where it is counted.
    pub(in crate::server) fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Note => "comment",
        }
    }

    fn table(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Status => ("statuses", "build", "0"),
            Self::Note => ("notes", "place", "note"),
        }
    }
}

/// Says something new; what was said before and not heard yet is not said any more.
pub(in crate::server) async fn say(change: &mut Change, kind: Kind, key: &str, body: &str) -> Result<(), Failure> {
    let (table, column, _) = kind.table();
    let (more, zero) = if kind == Kind::Note { (", note", ", 0") } else { ("", "") };
    let sql = format!(
        "INSERT INTO {table} ({column}, wanted, told, body, tries, next_ms{more}) VALUES ($1, 1, 0, $2, 0, 0{zero}) \
         ON CONFLICT ({column}) DO UPDATE SET wanted = {table}.wanted + 1, body = $2, tries = 0, next_ms = 0"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(key).bind(body);
    query.execute(&mut **change).await.map(drop).map_err(|error| failed(&error))
}

impl Store {
    /// What is to be told now.
    pub(in crate::server) async fn untold(&self, kind: Kind) -> Result<Vec<Untold>, Failure> {
        let (table, column, note) = kind.table();
        let sql = format!(
            "SELECT {column} AS place_key, wanted, body, tries, {note} AS note_id FROM {table} \
             WHERE told < wanted AND next_ms <= $1 ORDER BY next_ms LIMIT 50"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(now()).fetch_all(&self.read).await;
        let untold = |row| Untold {
            key: text(row, "place_key"),
            wanted: number(row, "wanted"),
            body: text(row, "body"),
            tries: number(row, "tries"),
            note: number(row, "note_id"),
        };
        Ok(rows.map_err(|error| failed(&error))?.iter().map(untold).collect())
    }

    /// How many words wait, also those whose next try is later.
    pub(in crate::server) async fn count_untold(&self, kind: Kind) -> Result<i64, Failure> {
        let sql = format!("SELECT COUNT(*) AS words FROM {} WHERE told < wanted", kind.table().0);
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.read).await;
        row.map(|row| number(&row, "words")).map_err(|error| failed(&error))
    }

    /// GitLab has heard it, or never will.
    pub(in crate::server) async fn told(&self, kind: Kind, untold: &Untold, note: i64) -> Result<(), Failure> {
        let (table, column, _) = kind.table();
        let set = if kind == Kind::Note { ", note = $3" } else { "" };
        let sql = format!("UPDATE {table} SET told = $2{set} WHERE {column} = $1 AND told < $2");
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(&untold.key).bind(untold.wanted);
        if kind == Kind::Note {
            query = query.bind(note);
        }
        query.execute(&self.write).await.map(drop).map_err(|error| failed(&error))
    }

    /// GitLab did not hear it; it is told again later.
    pub(in crate::server) async fn unheard(&self, kind: Kind, untold: &Untold, next_ms: i64) -> Result<(), Failure> {
        let (table, column, _) = kind.table();
        let sql = format!("UPDATE {table} SET tries = tries + 1, next_ms = $3 WHERE {column} = $1 AND wanted = $2");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(&untold.key).bind(untold.wanted).bind(next_ms);
        query.execute(&self.write).await.map(drop).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{commit, for_test};
    use super::*;

    #[tokio::test]
    async fn the_last_word_wins() {
        let (store, _directory) = for_test().await;
        for body in ["pending", "running"] {
            let mut change = store.change().await.unwrap();
            say(&mut change, Kind::Status, "b1", body).await.unwrap();
            say(&mut change, Kind::Note, "1/2/trade/order", body).await.unwrap();
            commit(change).await.unwrap();
        }
        let untold = store.untold(Kind::Status).await.unwrap();
        assert_eq!((untold.len(), untold[0].body.as_str(), untold[0].wanted), (1, "running", 2));
        // Something new is said while the old is told.
        let mut change = store.change().await.unwrap();
        say(&mut change, Kind::Status, "b1", "success").await.unwrap();
        commit(change).await.unwrap();
        store.told(Kind::Status, &untold[0], 0).await.unwrap();
        let untold = store.untold(Kind::Status).await.unwrap();
        assert_eq!(untold[0].body, "success");
        store.unheard(Kind::Status, &untold[0], now() + 60_000).await.unwrap();
        assert_eq!(store.untold(Kind::Status).await.unwrap(), []);
        assert_eq!(store.count_untold(Kind::Status).await.unwrap(), 1);
        let note = store.untold(Kind::Note).await.unwrap().remove(0);
        store.told(Kind::Note, &note, 77).await.unwrap();
        assert_eq!(store.untold(Kind::Note).await.unwrap(), []);
        assert_eq!(store.count_untold(Kind::Note).await.unwrap(), 0);
    }

    /// All that was ever said stays in the table; what is not heard yet is looked for every two seconds.
    #[tokio::test]
    async fn what_was_heard_is_not_looked_at_again() {
        let (store, _directory) = for_test().await;
        for kind in [Kind::Status, Kind::Note] {
            let sql =
                format!("EXPLAIN QUERY PLAN SELECT * FROM {} WHERE told < wanted AND next_ms <= 1", kind.table().0);
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&store.read).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| text(row, "detail")).collect();
            assert!(plan.iter().all(|step| step.contains("_untold")), "{plan:?}");
        }
    }
}
