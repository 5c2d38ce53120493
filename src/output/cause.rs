//! The line of a log that says why a command failed, for those who read one line only.

use regex::Regex;

/// Characters of it that are kept.
const LENGTH: usize = 300;

/// Looks for it while lines pass; a clone looks for the same in other lines.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    patterns: Vec<Regex>,
    found: Option<(usize, String)>,
}

impl Cause {
    /// By regular expressions, the most telling first; what their group 1 matches is told, or the whole match. What is
    /// no expression finds nothing.
    #[must_use]
    pub fn by(patterns: &[String]) -> Self {
        let patterns = patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect();
        Self { patterns, found: None }
    }

    /// Takes a line: the first of the most telling kind is kept.
    pub fn see(&mut self, line: &str) {
        let better = self.found.as_ref().map_or(self.patterns.len(), |(rank, _)| *rank);
        let told = self.patterns[..better].iter().enumerate().find_map(|(rank, pattern)| {
            let found = pattern.captures(line)?;
            Some((rank, found.get(1).or_else(|| found.get(0))?.as_str().trim().to_owned()))
        });
        self.found = told.filter(|(_, text)| !text.is_empty()).or_else(|| self.found.take());
    }

    /// What was found.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        let (_, text) = self.found.as_ref()?;
        let cut = text.char_indices().nth(LENGTH).map(|(at, _)| format!("{}…", &text[..at]));
        Some(cut.unwrap_or_else(|| text.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Option<String> {
        let patterns = [r"^error: (.*)", "(", r"warning \w+"].map(str::to_owned);
        let mut cause = Cause::by(&patterns);
        for line in lines {
            cause.see(line);
        }
        cause.told()
    }

    #[test]
    fn the_first_of_the_most_telling_lines_is_told() {
        assert_eq!(told(&["all is well"]), None);
        assert_eq!(told(&["a warning one", "warning two"]).as_deref(), Some("warning one"));
        assert_eq!(told(&["warning one", "error: a", "error: b", "warning c"]).as_deref(), Some("a"));
        assert_eq!(told(&["error: ", "warning one"]).as_deref(), Some("warning one"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let told = told(&[&format!("error: {}", "é".repeat(400))]).unwrap();
        assert_eq!(told.chars().count(), LENGTH + 1);
    }
}
