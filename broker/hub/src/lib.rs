//! Live connections: clients, routes to the other servers, and the fan-out between them.
//!
//! The hub moves messages. It knows accounts, subscriptions, permissions and sockets; it must not
//! know what JetStream is, read configuration, or decide who a user is (an [`Authenticator`] does).
//!
//! Start with [`Hub`], then `client` (the protocol of one client), `deliver` (one message to
//! everyone who wants it) and `connection` (why a delivery wakes nobody up).

mod account;
mod auth;
mod batch;
mod client;
mod connection;
mod deliver;
mod delivery;
mod drive;
mod hub;
mod info;
mod listener;
mod mappings;
mod mishap;
mod options;
mod outbound;
mod permission;
mod proxied;
mod rate;
mod reload;
mod route;
mod sharing;
mod snapshot;
mod subs;
mod subscription;
mod sweeper;
mod transport;
mod watch;
mod websocket;

pub use ::websocket::Origins;
pub use account::{Account, AccountLimits, InterestWatcher, UNLIMITED};
pub use auth::{AuthFailure, Authenticator, ConnectRequest, PeerTls};
pub use delivery::{Delivery, Handler, Origin, OriginKind, Publish, SubscriptionId, WatchId};
pub use hub::{Hub, Phase};
pub use mappings::{Destination, Mapping, MappingError};
pub use options::{
    Advertised, ClusterOptions, HandshakeFirst, Limits, Options, RouteTls, RouteUrl, ServerFacts,
    TlsOptions,
};
pub use route::{AsyncStream, PeerHello, PeerStreams, RouteEvent, RouteWatcher};
pub use sharing::{
    Access, ClientInfo, Export, Import, Latency, ResponseKind, Sampling, ShareKind, Sharing,
};
pub use snapshot::{
    AccountSnapshot, ConnectionSnapshot, RouteSnapshot, SubscriptionSnapshot, Totals,
};
pub use watch::{ClientEvent, ClientWatcher};
pub use websocket::{Cookies, WebSocketOptions};
