//! Java versions as people write them: `1.8`, `17.0.9-tem`, `temurin-17.0.9+9`.

/// The major version: `1.8` means 8; a vendor may stand before the numbers.
pub(super) fn major(text: &str) -> Option<u32> {
    let text = text.trim().trim_start_matches('v');
    let words = text.split('-').find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = words.split(|c: char| !c.is_ascii_digit());
    let first: u32 = numbers.next()?.parse().ok()?;
    let major = if first == 1 { numbers.next().and_then(|n| n.parse().ok()).unwrap_or(1) } else { first };
    (1..200).contains(&major).then_some(major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majors() {
        let table = [
            ("1.8", Some(8)),
            ("8", Some(8)),
            ("1.5", Some(5)),
            ("17.0.9-tem", Some(17)),
            ("temurin-21.0.1+9", Some(21)),
            ("openjdk64-11.0.2", Some(11)),
            ("1.8.0_402", Some(8)),
            ("system", None),
            ("", None),
            ("999999", None),
            ("${x}", None),
        ];
        for (text, expected) in table {
            assert_eq!(major(text), expected, "{text}");
        }
    }
}
