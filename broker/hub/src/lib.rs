//! Live connections: accounts at run time, fan-out, clients and routes.
