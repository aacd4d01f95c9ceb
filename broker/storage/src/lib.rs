//! The file system seam and the write-ahead log that all streams share.
