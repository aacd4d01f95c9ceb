//! Three brokers on a simulated network and disk.
