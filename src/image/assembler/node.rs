//! What stands at a path of an image or a build context.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::Name;
use super::scan::ContextFile;
use crate::image::context::ENTRY_TIME;

/// An entry of a file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) attributes: Attributes,
    /// Extended attributes by name: `security.capability`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    pub(super) kind: Kind,
}

/// Mode, owner and time of change, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) time: u64,
}

impl Attributes {
    /// A directory that nobody described.
    pub(super) const USUAL: Self = Self { mode: 0o755, uid: 0, gid: 0, time: ENTRY_TIME };
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Directory,
    Link(Name),
    File(File),
    /// A device or named pipe, with its tar type and numbers.
    Device(u8, u32, u32),
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) size: u64,
    /// Names of the same file have the same number, which counts within one tree.
    pub(super) inode: u64,
    pub(super) place: Place,
}

impl File {
    /// The SHA-256 of its bytes, where a layer can be written of them.
    pub(super) fn hash(&self) -> Option<[u8; 32]> {
        match &self.place {
            Place::Ready(hash, _) => Some(*hash),
            Place::Layer(..) => None,
        }
    }
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// In a layer of the base image, under this path, or under the node's own.
    Layer(u32, #[serde(default, skip_serializing_if = "Option::is_none")] Option<Name>),
    /// Where a layer can be written from.
    #[serde(skip)]
    Ready([u8; 32], Source),
}

/// Bytes that can be read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A file of the build context.
    Context(Arc<ContextFile>),
    /// A few bytes in memory.
    Bytes(Arc<[u8]>),
    /// From here on in the build's scratch file.
    Scratch(u64),
}

impl Node {
    pub(super) fn directory(attributes: Attributes) -> Self {
        Self { attributes, xattrs: BTreeMap::new(), kind: Kind::Directory }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }
}
