//! The server's flags and configuration file, turned into typed options.
