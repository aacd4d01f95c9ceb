//! The broker: joins all parts, reads flags and signals.
