//! The client and route protocols: parsing and encoding, without sockets.
