//! What is logged, and where to.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq)]
pub struct Logging {
    pub debug: bool,
    pub trace: bool,
    /// Trace the system account too.
    pub trace_verbose: bool,
    /// Trace message headers only, not payloads.
    pub trace_headers: bool,
    pub logtime: bool,
    pub logtime_utc: bool,
    pub file: Option<PathBuf>,
    /// The file is rotated at this size; never if absent.
    pub file_size_limit_bytes: Option<u64>,
    /// Rotated files kept; all if absent.
    pub file_max_count: Option<u64>,
    pub syslog: bool,
    pub remote_syslog: Option<String>,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            debug: false,
            trace: false,
            trace_verbose: false,
            trace_headers: false,
            logtime: true,
            logtime_utc: false,
            file: None,
            file_size_limit_bytes: None,
            file_max_count: None,
            syslog: false,
            remote_syslog: None,
        }
    }
}
