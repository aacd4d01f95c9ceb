//! Makes a broker cluster hold what resources say.
