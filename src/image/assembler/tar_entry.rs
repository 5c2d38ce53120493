//! Entries of a layer as tar (POSIX ustar, with PAX records for what does not fit into it).

use std::io::{self, Write};

use super::name::Name;
use super::node::{Kind, Node};

/// The largest number in a field of so many octal digits.
const fn largest(digits: u32) -> u64 {
    (1 << (3 * digits)) - 1
}

/// The longest name in a header.
const NAME: usize = 100;

/// Writes an entry's header; the bytes of a file follow it. A file with another name in `linked` is a hard link.
pub(super) fn header(out: &mut dyn Write, path: &Name, node: &Node, linked: Option<&Name>) -> io::Result<()> {
    let mut name = path.0.clone();
    if node.is_directory() {
        name.push(b'/');
    }
    let mut header = tar::Header::new_ustar();
    let mut records = Vec::new();
    let attributes = &node.attributes;
    let (kind, target, size) = match (&node.kind, linked) {
        (_, Some(first)) => (tar::EntryType::Link, first.0.as_slice(), 0),
        (Kind::Directory, None) => (tar::EntryType::Directory, [].as_slice(), 0),
        (Kind::Link(to), None) => (tar::EntryType::Symlink, to.0.as_slice(), 0),
        (Kind::File(file), None) => (tar::EntryType::Regular, [].as_slice(), file.size),
        (Kind::Device(kind, major, minor), None) => {
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
            (tar::EntryType::new(*kind), [].as_slice(), 0)
        }
    };
    header.set_entry_type(kind);
    header.set_mode(attributes.mode);
    header.set_uid(number(&mut records, "uid", attributes.uid, largest(7)));
    header.set_gid(number(&mut records, "gid", attributes.gid, largest(7)));
    header.set_mtime(number(&mut records, "mtime", attributes.time, largest(11)));
    header.set_size(number(&mut records, "size", size, largest(11)));
    text(&mut records, "path", &name, &mut header.as_old_mut().name);
    text(&mut records, "linkpath", target, &mut header.as_old_mut().linkname);
    if linked.is_none() {
        for (key, value) in &node.xattrs {
            record(&mut records, &format!("SCHILY.xattr.{key}"), value);
        }
    }
    if !records.is_empty() {
        let mut extension = tar::Header::new_ustar();
        extension.set_entry_type(tar::EntryType::XHeader);
        let fixed = b"PaxHeaders/entry";
        extension.as_old_mut().name[..fixed.len()].copy_from_slice(fixed);
        extension.set_mode(0o644);
        extension.set_size(records.len() as u64);
        extension.set_cksum();
        out.write_all(extension.as_bytes())?;
        out.write_all(&records)?;
        padding(out, records.len() as u64)?;
    }
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// Fills the last block of so many bytes.
pub(super) fn padding(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let rest = (512 - size % 512) % 512;
    out.write_all(&[0; 512][..usize::try_from(rest).unwrap_or(0)])
}

/// What ends an archive.
pub(super) fn end(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&[0; 1024])
}

/// The number for the header; one that does not fit goes into a record.
fn number(records: &mut Vec<u8>, key: &str, value: u64, largest: u64) -> u64 {
    if value <= largest {
        return value;
    }
    record(records, key, value.to_string().as_bytes());
    0
}

/// Puts a name into its field; one that does not fit, or is not ASCII, goes into a record.
fn text(records: &mut Vec<u8>, key: &str, value: &[u8], field: &mut [u8; NAME]) {
    if value.len() > NAME || !value.is_ascii() {
        record(records, key, value);
    }
    for (to, from) in field.iter_mut().zip(value) {
        *to = if from.is_ascii() { *from } else { b'_' };
    }
}

/// `LENGTH KEY=VALUE\n`, the length counting itself (POSIX, pax extended header).
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::super::node::{Attributes, File, Place};
    use super::*;

    type Read = (Vec<u8>, tar::Header, u64, Vec<(String, Vec<u8>)>);

    fn read_back(path: &[u8], node: &Node) -> Read {
        let mut bytes = Vec::new();
        header(&mut bytes, &Name(path.to_vec()), node, None).unwrap();
        end(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let records = entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap);
        let records = records.map(|record| (record.key().unwrap().to_owned(), record.value_bytes().to_vec())).collect();
        let (path, size) = (entry.path_bytes().into_owned(), entry.size());
        (path, entry.header().clone(), size, records)
    }

    #[test]
    fn what_fits_needs_no_records_and_the_rest_is_read_back() {
        let node = Node::directory(Attributes { mode: 0o1777, uid: 7, gid: 8, time: 9 });
        let (path, header, _, records) = read_back(b"tmp", &node);
        assert_eq!((path.as_slice(), records.len()), (b"tmp/".as_slice(), 0));
        assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap()), (0o1777, 7, 9));
        let long = [b"d".repeat(120), b"/\xff".to_vec()].concat();
        let file = File { size: 9 << 30, inode: 1, place: Place::Layer(0, None) };
        let node = Node {
            attributes: Attributes { mode: 0o4755, uid: 4_000_000_000, gid: 0, time: 1 },
            xattrs: BTreeMap::from([("security.capability".to_owned(), vec![1, 0, 0xff, 2])]),
            kind: Kind::File(file),
        };
        let (path, header, size, records) = read_back(&long, &node);
        assert_eq!((path, size, header.uid().unwrap()), (long, 9 << 30, 4_000_000_000));
        assert!(records.contains(&("SCHILY.xattr.security.capability".to_owned(), vec![1, 0, 0xff, 2])));
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for size in 1..1100 {
            let mut bytes = Vec::new();
            record(&mut bytes, "path", &b"x".repeat(size));
            let mut digits = Vec::new();
            bytes.as_slice().take(5).read_to_end(&mut digits).unwrap();
            let length: usize = String::from_utf8_lossy(&digits).split(' ').next().unwrap().parse().unwrap();
            assert_eq!(length, bytes.len());
        }
    }
}
