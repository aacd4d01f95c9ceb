//! Marks a log as of a local or a replicated group: the entries look different, and read by the
//! wrong driver they would be garbage.

use bytes::Bytes;
use storage::wal::Log;

use crate::{GroupId, StorageError};

/// Key of the mark, beside those of the replicated log.
const KEY: u8 = 0;

/// Who writes the log of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Local,
    Replicated,
}

impl Kind {
    fn mark(self) -> Bytes {
        Bytes::from_static(match self {
            Kind::Local => b"local",
            Kind::Replicated => b"replicated",
        })
    }

    /// Marks a new log; refuses one of the other kind.
    pub(crate) fn claim(self, group: GroupId, log: &Log) -> Result<(), StorageError> {
        match log.state(KEY) {
            Some(mark) if mark == self.mark() => Ok(()),
            Some(mark) => Err(StorageError::Inconsistent {
                group,
                reason: format!(
                    "its log is {}, not {self:?}; remove it first",
                    String::from_utf8_lossy(&mark)
                ),
            }),
            None => log
                .set_state_lazy(KEY, self.mark())
                .map_err(|error| StorageError::Log {
                    group,
                    reason: error.to_string(),
                }),
        }
    }
}

/// First byte of a seal of a local group.
pub(crate) const LOCAL_SEAL: u8 = 0x81;

/// First byte of a seal of a replicated group.
pub(crate) const REPLICATED_SEAL: u8 = 1;
