//! Writing below a directory: nothing that is there is replaced, and nothing is written through a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};

use super::{Dir, failure};
use crate::model::failure::Failure;

impl Dir {
    /// Makes a directory and those above it, all with mode 0755, and opens it.
    ///
    /// # Errors
    /// `artifact_invalid` if something else has that name; `disk_full`, `internal`.
    pub fn make(&self, relative: impl AsRef<Path>) -> Result<Self, Failure> {
        let mut at = self.below("")?;
        for component in relative.as_ref().components() {
            let Component::Normal(name) = component else { continue };
            match rustix::fs::mkdirat(&at.fd, name, Mode::from_raw_mode(0o755)) {
                Err(error) if error != rustix::io::Errno::EXIST => {
                    return Err(failure("make", &at.shown(Path::new(name)), error.into()));
                }
                made => {
                    let next = at.below(Path::new(name))?;
                    if made.is_ok() {
                        // The worker's umask must not show in an image.
                        rustix::fs::fchmod(&next.fd, Mode::from_raw_mode(0o755))
                            .map_err(|error| failure("make", &next.shown, error.into()))?;
                    }
                    at = next;
                }
            }
        }
        Ok(at)
    }

    /// Makes a file that is not there yet, with mode 0755 or 0644.
    ///
    /// # Errors
    /// `artifact_invalid` if the name is taken; `disk_full`, `internal`.
    pub fn create(&self, name: impl AsRef<Path>, executable: bool) -> Result<File, Failure> {
        let name = name.as_ref();
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        // RDWR, because a zip writer goes back to fill in sizes.
        let fd = self.resolve(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode)?;
        rustix::fs::fchmod(&fd, mode).map_err(|error| failure("write", &self.shown(name), error.into()))?;
        Ok(File::from(fd))
    }

    /// Makes a symbolic link with exactly this text.
    ///
    /// # Errors
    /// `artifact_invalid` if the name is taken; `disk_full`, `internal`.
    pub fn link(&self, name: &OsStr, target: &Path) -> Result<(), Failure> {
        rustix::fs::symlinkat(target, &self.fd, name)
            .map_err(|error| failure("link", &self.shown(Path::new(name)), error.into()))
    }

    /// Copies one regular file, keeping of its mode whether it is executable, and tells its size.
    ///
    /// It is a copy and no hard link: a process that the build left running could still write to a shared file.
    ///
    /// # Errors
    /// As [`Dir::open_file`] and [`Dir::create`].
    pub fn copy_file(&self, name: impl AsRef<Path>, into: &Self, new_name: impl AsRef<Path>) -> Result<u64, Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut from = self.open_file(&name)?;
        let fail = |error| failure("copy", &self.shown(name.as_ref()), error);
        let executable = from.metadata().map_err(fail)?.permissions().mode() & 0o111 != 0;
        let mut to = into.create(new_name, executable)?;
        io::copy(&mut from, &mut to).map_err(fail)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::model::failure::FailureCode;

    #[test]
    fn copies_keep_only_the_executable_bit() {
        let temp = tempfile::tempdir().unwrap();
        for (name, mode) in [("run", 0o4700), ("data", 0o600)] {
            std::fs::write(temp.path().join(name), name).unwrap();
            std::fs::set_permissions(temp.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let dir = Dir::open(temp.path()).unwrap();
        let to = dir.make("out/deep").unwrap();
        dir.copy_file("run", &to, "run").unwrap();
        dir.copy_file("data", &to, "data").unwrap();
        let mode = |name: &str| std::fs::metadata(temp.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode("out/deep/run"), mode("out/deep/data"), mode("out"), mode("out/deep")),
            (0o755, 0o644, 0o755, 0o755)
        );
        let again = dir.copy_file("run", &to, "run").unwrap_err();
        assert_eq!(again.code, FailureCode::ArtifactInvalid);
    }
}
