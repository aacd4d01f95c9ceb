//! JetStream's rules as pure state machines.
