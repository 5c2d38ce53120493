//! A tar archive that strangers wrote, kept within bounds before anything else reads it: a few kilobytes of gzip can
//! hold gigabytes of zeros, or one name that fills the memory.

use std::io::{self, Read};

/// A header, and what contents are rounded up to (POSIX, ustar).
const BLOCK: usize = 512;

/// The longest name or set of attributes: what stands in a header beside an entry.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// More entries than any image has.
const MOST_ENTRIES: u64 = 4 << 20;

/// A layer may always be as large as this, and this many times its compressed size.
const USUAL: u64 = 1 << 30;
const GROWTH: u64 = 200;

/// How many bytes a layer of this compressed size may have.
pub(super) fn bound(compressed: u64) -> u64 {
    USUAL.max(compressed.saturating_mul(GROWTH))
}

/// Passes an archive on as long as it stays within bounds.
pub(super) struct Guarded<R> {
    inner: R,
    /// Bytes that may still come.
    left: u64,
    entries: u64,
    state: State,
    /// The size of the next entry, where an extension says it.
    size: Option<u64>,
}

enum State {
    /// A header, as far as it came.
    Header(Vec<u8>),
    /// The extension of a sparse file's header.
    Sparse(Vec<u8>, u64),
    /// So many bytes of content follow.
    Content(u64),
    /// An extension's content, and how many bytes it has with its filling.
    Extension(Vec<u8>, u64, u64),
}

impl<R> Guarded<R> {
    pub(super) fn new(inner: R, most: u64) -> Self {
        Self { inner, left: most, entries: 0, state: State::Header(Vec::with_capacity(BLOCK)), size: None }
    }

    /// What it reads from.
    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let state = std::mem::replace(&mut self.state, State::Content(0));
            self.state = match state {
                State::Content(left) => {
                    let taken = take(&mut bytes, left);
                    if taken == left { State::Header(Vec::with_capacity(BLOCK)) } else { State::Content(left - taken) }
                }
                State::Header(block) => match filled(block, &mut bytes) {
                    Ok(block) => self.header(&block)?,
                    Err(block) => State::Header(block),
                },
                State::Sparse(block, size) => match filled(block, &mut bytes) {
                    Ok(block) if block[504] == 1 => State::Sparse(Vec::new(), size),
                    Ok(_) => State::Content(size),
                    Err(block) => State::Sparse(block, size),
                },
                State::Extension(mut content, size, mut left) => {
                    let before = bytes;
                    let taken = take(&mut bytes, left);
                    left -= taken;
                    let wanted = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(content.len());
                    content.extend_from_slice(&before[..wanted.min(before.len() - bytes.len())]);
                    if left > 0 {
                        State::Extension(content, size, left)
                    } else {
                        self.size = pax_size(&content).or(self.size);
                        State::Header(Vec::with_capacity(BLOCK))
                    }
                }
            };
        }
        Ok(())
    }

    fn header(&mut self, block: &[u8]) -> io::Result<State> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(State::Header(Vec::with_capacity(BLOCK)));
        }
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(io::Error::other(format!("it has more than {MOST_ENTRIES} entries")));
        }
        let size = number(&block[124..136]);
        let kind = block[156];
        if matches!(kind, b'x' | b'g' | b'L' | b'K') {
            if size > LONGEST_EXTENSION {
                return Err(io::Error::other(format!("an entry has a name or attributes of {size} bytes")));
            }
            let whole = rounded(size);
            // Only these records can say a size; an empty one has no content to wait for.
            let kept = if kind == b'x' { size } else { 0 };
            return Ok(if whole == 0 { State::Content(0) } else { State::Extension(Vec::new(), kept, whole) });
        }
        let size = rounded(self.size.take().unwrap_or(size));
        Ok(if kind == b'S' && block[482] == 1 { State::Sparse(Vec::new(), size) } else { State::Content(size) })
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("it grows beyond all measure when it is unpacked"))?;
        self.look(&buffer[..read])?;
        Ok(read)
    }
}

/// Takes bytes away, at most so many; says how many.
fn take(bytes: &mut &[u8], most: u64) -> u64 {
    let count = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    *bytes = &bytes[count..];
    count as u64
}

/// Fills a block; gives it back as an error while it is not full.
fn filled(mut block: Vec<u8>, bytes: &mut &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let count = bytes.len().min(BLOCK - block.len());
    block.extend_from_slice(&bytes[..count]);
    *bytes = &bytes[count..];
    if block.len() == BLOCK { Ok(block) } else { Err(block) }
}

fn rounded(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64)
}

/// An octal number, or a binary one where its first bit is set (GNU).
fn number(field: &[u8]) -> u64 {
    if field[0] & 0x80 != 0 {
        return field[4..].iter().fold(0, |number: u64, byte| (number << 8) | u64::from(*byte));
    }
    let digits = field.iter().skip_while(|byte| **byte == b' ').take_while(|byte| (b'0'..=b'7').contains(*byte));
    digits.fold(0, |number: u64, byte| (number << 3) | u64::from(byte - b'0'))
}

/// The last `size` among PAX records.
fn pax_size(mut records: &[u8]) -> Option<u64> {
    let mut size = None;
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
        let record = records.get(space + 1..length)?;
        if let Some(value) = record.strip_prefix(b"size=") {
            size = std::str::from_utf8(value).ok().and_then(|value| value.trim_end().parse().ok()).or(size);
        }
        records = &records[length..];
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(archive: &[u8], most: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        // Pieces of an odd size, so that borders lie anywhere.
        let mut guarded = Guarded::new(archive, most);
        let mut buffer = [0; 333];
        loop {
            match guarded.read(&mut buffer)? {
                0 => return Ok(out),
                read => out.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn archive(entries: &[(tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, "name", *content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn what_is_usual_passes_unchanged() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("size", &b"700"[..]), ("comment", b"c")]).unwrap();
        let mut whole = builder.into_inner().unwrap();
        whole.truncate(1024);
        // The header itself says 0; what looks like a long name's header inside the content is none.
        let mut inside = archive(&[(tar::EntryType::Regular, b"")])[..512].to_vec();
        inside.extend(archive(&[(tar::EntryType::GNULongName, b"")])[..188].iter());
        inside.resize(1024 + 512, 0);
        whole.extend(inside);
        whole.extend(archive(&[(tar::EntryType::Regular, &[7; 1500]), (tar::EntryType::Directory, b"")]));
        assert_eq!(read(&whole, 1 << 20).unwrap(), whole);
    }

    #[test]
    fn bombs_are_refused() {
        let many = archive(&[(tar::EntryType::Regular, &[0; 4000])]);
        assert!(read(&many, 3000).unwrap_err().to_string().contains("measure"));
        for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
            let long = archive(&[(kind, &vec![b'a'; (1 << 20) + 1])]);
            assert!(read(&long, u64::MAX).unwrap_err().to_string().contains("a name or attributes of"), "{kind:?}");
        }
        assert_eq!((bound(1), bound(1 << 30)), (1 << 30, 200 << 30));
    }
}
