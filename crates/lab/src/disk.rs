//! A disk that is full when a test says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::LabError;
use crate::process::run;

/// The bound of mounting and unmounting.
const MOUNTED_WITHIN: Duration = Duration::from_secs(10);

/// What is left free of a disk that is filled, the least that can be had.
const SLACK_BYTES: [u64; 5] = [0, 64 << 10, 512 << 10, 4 << 20, 16 << 20];

/// A file system in memory (tmpfs) of a size of its own, unmounted when this is
/// dropped.
///
/// Mounting needs a user who may: root, or one in a user namespace of its own.
/// Run what uses this in a mount namespace of its own (`unshare --mount`), and
/// nothing is left behind however the process ends.
#[derive(Debug)]
pub struct SmallDisk {
    place: PathBuf,
    bytes: u64,
}

impl SmallDisk {
    /// Mounts one of `bytes` at `place`, a directory that is made where it is not
    /// there.
    pub fn mount(place: &Path, bytes: u64) -> Result<Self, LabError> {
        std::fs::create_dir_all(place).map_err(LabError::disk(place))?;
        let size = format!("size={bytes}");
        mount(place, &["-t", "tmpfs", "-o", &size, "lab"])?;
        Ok(Self { place: place.to_owned(), bytes })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// Next to nothing more fits on it, from now on: at most 16 MiB where it
    /// grows meanwhile, and nothing at all where it does not.
    pub fn fill(&self) -> Result<(), LabError> {
        let mut refused = None;
        // What is made smaller than what is there is refused, and files grow.
        for slack in SLACK_BYTES {
            let about =
                rustix::fs::statvfs(&self.place).map_err(|errno| self.wrong(errno.into()))?;
            let used = (about.f_blocks - about.f_bfree) * about.f_frsize;
            match self.resize(used.max(about.f_frsize) + slack) {
                Ok(()) => return Ok(()),
                Err(why) => refused = Some(why),
            }
        }
        Err(refused.expect("it was tried"))
    }

    /// It has its size again.
    pub fn free(&self) -> Result<(), LabError> {
        self.resize(self.bytes)
    }

    fn resize(&self, bytes: u64) -> Result<(), LabError> {
        mount(&self.place, &["-o", &format!("remount,size={bytes}"), "lab"])
    }

    fn wrong(&self, source: std::io::Error) -> LabError {
        LabError::Disk { path: self.place.clone(), source }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        // What still has a file open there keeps it until it ends.
        unmount.arg("--lazy").arg(&self.place);
        let _ = run(unmount, MOUNTED_WITHIN);
    }
}

fn mount(place: &Path, arguments: &[&str]) -> Result<(), LabError> {
    let mut command = Command::new("mount");
    command.args(arguments).arg(place);
    let finished = run(command, MOUNTED_WITHIN)?;
    if finished.code == Some(0) {
        return Ok(());
    }
    let why = finished.stderr.trim().to_owned();
    Err(LabError::Disk { path: place.to_owned(), source: std::io::Error::other(why) })
}
