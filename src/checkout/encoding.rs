//! What a file's bytes say as text, where they are not UTF-8.

use crate::model::source_tree::Text;
use crate::toolchain::manifest::ASCII_ENOUGH;

/// The text of a file.
///
/// A byte order mark tells UTF-16, which `PowerShell` writes and pip reads ("Requirements File Format", encoding); an XML
/// declaration tells ISO 8859-1; sources and properties of Java are read as it.
pub(super) fn text(path: &str, bytes: Vec<u8>) -> Text {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Text::Utf8(text),
        Err(error) => error.into_bytes(),
    };
    if let [first @ (0xff | 0xfe), second @ (0xff | 0xfe), units @ ..] = &bytes[..]
        && first != second
    {
        let unit = |pair: &[u8]| match (first, pair) {
            (0xff, [low, high]) => u16::from_le_bytes([*low, *high]),
            (_, [high, low]) => u16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        let units: Vec<u16> = units.chunks_exact(2).map(unit).collect();
        return String::from_utf16(&units).map_or(Text::NotUtf8, Text::Utf8);
    }
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
    let latin = extension.is_some_and(|extension| ASCII_ENOUGH.contains(&extension)) || declared_latin(&bytes);
    if latin { Text::Utf8(bytes.into_iter().map(char::from).collect()) } else { Text::NotUtf8 }
}

/// `<?xml version="1.0" encoding="ISO-8859-1"?>`.
fn declared_latin(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).to_ascii_lowercase();
    let declaration = head.trim_start().strip_prefix("<?xml").and_then(|rest| rest.split("?>").next());
    declaration.is_some_and(|text| {
        ["iso-8859-1", "iso-8859-15", "windows-1252", "latin1"].iter().any(|name| text.contains(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_that_tools_read() {
        for (path, bytes, expected) in [
            ("requirements.txt", &b"flask\n"[..], Some("flask\n")),
            ("requirements.txt", b"\xff\xfef\0l\0a\0s\0k\0\n\0", Some("flask\n")),
            ("requirements.txt", b"\xfe\xff\0f\0l\0a\0s\0k\0\n", Some("flask\n")),
            ("requirements.txt", b"fl\xe9sk\n", None),
            ("requirements.txt", b"\xff\xff\0", None),
            (
                "pom.xml",
                b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>",
                Some("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>é</a>"),
            ),
            ("pom.xml", b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>\xe9</a>", None),
            ("A.java", b"// \xe9\n", Some("// é\n")),
        ] {
            let expected = expected.map_or(Text::NotUtf8, |text| Text::Utf8(text.to_owned()));
            assert_eq!(text(path, bytes.to_vec()), expected, "{path}");
        }
    }
}
