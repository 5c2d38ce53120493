//! Numbers as people read them.

/// `1.4 MiB`; empty for none.
#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(super) fn size(bytes: i64) -> String {
    match bytes {
        0 => String::new(),
        bytes if bytes.abs() < 1 << 10 => format!("{bytes} B"),
        bytes if bytes.abs() < 1 << 20 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        bytes if bytes.abs() < 1 << 30 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        bytes => format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// `3 m 12 s`; empty for none.
pub(super) fn duration(milliseconds: i64) -> String {
    match milliseconds {
        0 => String::new(),
        ms if ms < 1000 => format!("{ms} ms"),
        ms if ms < 60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms => format!("{} m {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// With its sign, where there is a difference.
pub(super) fn signed(text: &str, value: i64) -> String {
    match value {
        0 => "the same".to_owned(),
        value if value > 0 => format!("+{text}"),
        _ => text.to_owned(),
    }
}

/// A state for people.
pub(super) fn state(name: &str) -> String {
    name.replace('_', " ")
}

/// The first 12 digits of a commit.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// What a notification of Harbor is about.
pub(super) fn registry(kind: &str) -> String {
    match kind {
        "PUSH_ARTIFACT" => "pushed",
        "PULL_ARTIFACT" => "pulled",
        "DELETE_ARTIFACT" => "deleted",
        "SCANNING_COMPLETED" => "scanned",
        "SCANNING_FAILED" => "scan failed",
        "SCANNING_STOPPED" => "scan stopped",
        "QUOTA_WARNING" => "quota nearly used up",
        "QUOTA_EXCEED" => "quota used up",
        "REPLICATION" => "replicated",
        "TAG_RETENTION" => "retention ran",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!((size(32), size(-900), size(1536)), ("32 B".to_owned(), "-900 B".to_owned(), "1.5 KiB".to_owned()));
        assert_eq!(size(-3 << 20), "-3.0 MiB");
        assert_eq!(duration(850), "850 ms");
        assert_eq!(duration(12_340), "12.3 s");
        assert_eq!(duration(192_000), "3 m 12 s");
        assert_eq!(signed(&size(2048), 2048), "+2.0 KiB");
    }
}
