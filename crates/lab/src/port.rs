//! Ports that are a test's own.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::BuildHasher as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::LabError;
use crate::suite::target_dir;

/// Ports of test servers are below the range from which Linux takes the local
/// ports of outgoing connections (32,768 and up): else, while a server is down,
/// some client's connection might take its port.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A port that no other test of this target directory uses, held by a lock on
/// a file, also while nothing listens on it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked as long as it is open.
    _held: File,
}

impl Port {
    /// Takes a free one.
    ///
    /// # Errors
    /// [`LabError::NoPort`] where there is none, [`LabError::Disk`] where the files can't
    /// be made.
    pub fn reserve() -> Result<Self, LabError> {
        let directory = target_dir().join("lab").join("ports");
        fs::create_dir_all(&directory).map_err(LabError::disk(&directory))?;
        let count = PORTS.end - PORTS.start;
        // Tests of other projects on this machine may look in the same range:
        // each run starts at another place.
        let start = u16::try_from(RandomState::new().hash_one(0) % u64::from(count)).unwrap_or(0);
        for step in 0..count {
            let number = PORTS.start + (start + step) % count;
            let path = directory.join(number.to_string());
            let file = File::create(&path).map_err(LabError::disk(&path))?;
            match file.try_lock() {
                Ok(()) if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() => {
                    return Ok(Self { number, _held: file });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(LabError::Disk { path, source }),
            }
        }
        Err(LabError::NoPort { from: PORTS.start, to: PORTS.end - 1 })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Where something can listen that is restarted, or gives its place to another.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
