//! Lines of INI files, as uWSGI and `PasteDeploy` read them.

/// `key = value`, with the section that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'t> {
    pub(super) section: &'t str,
    pub(super) key: &'t str,
    pub(super) value: &'t str,
    pub(super) number: u32,
}

/// Every line with a key; a separator is `=` or `:` (Python's `configparser`, "Supported INI File Structure").
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((key, value)) = line.split_once(['=', ':']) {
            found.push(Line { section, key: key.trim(), value: value.trim(), number });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_separators() {
        let text =
            "a = b\n# c = d\n[app:main]\nuse = egg:shop#main\n  port: 1\nrest\n;x=1\n[ server:main ]\nlisten=*:6543\n";
        let found: Vec<_> =
            lines(text).iter().map(|l| format!("{} {}/{}/{}", l.number, l.section, l.key, l.value)).collect();
        assert_eq!(
            found,
            ["1 /a/b", "4 app:main/use/egg:shop#main", "5 app:main/port/1", "9 server:main/listen/*:6543"]
        );
    }
}
