//! The monitoring endpoints and Prometheus metrics.
