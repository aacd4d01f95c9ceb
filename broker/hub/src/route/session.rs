//! The protocol of one route.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use subject::MatchCache;
use wire::{
    CloseReason, ConnectOptions, Error, encode,
    route::{self, Interest, Op, Parsed},
};

use super::{Peer, Registration, info::PeerInfo, info::info_line, tell_interest};
use crate::{
    account::Account,
    connection::{Connection, traits},
    deliver::{self, Message},
    delivery::{Origin, OriginKind},
    drive::{Next, Protocol},
    hub::{Hub, Phase},
    subscription::{NewSub, Sub, Target},
};

/// Recent matches remembered per account.
const MATCHES_CACHED: usize = 1024;

/// Which side of a route this server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Dialled { is_configured: bool },
    Accepted,
}

pub(super) struct RouteSession {
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    role: Role,
    limits: route::Limits,
    /// The other side may introduce itself: this server dialled it, or it gave the right password.
    authorized: bool,
    /// Id of the other server, once the route is registered.
    peer: Option<PeerInfo>,
    /// What the other server wants, by account, subject and queue.
    interest: HashMap<Box<[u8]>, (Arc<Account>, Sub)>,
    accounts: HashMap<Box<[u8]>, Known>,
    in_messages: u64,
    in_bytes: u64,
}

/// An account the other server has sent messages for.
struct Known {
    account: Arc<Account>,
    cache: MatchCache<Sub>,
}

/// Says who this server is, on a route it dialled.
pub(super) fn introduce(
    hub: &Arc<Hub>,
    connection: &Arc<Connection>,
    user: Option<(String, String)>,
) {
    let (user, pass) = user.unwrap_or_default();
    let server = &hub.options().server;
    let options = ConnectOptions {
        verbose: false,
        pedantic: false,
        echo: true,
        user,
        pass,
        name: server.server_name.clone(),
        server_id: server.server_id.clone(),
        cluster: hub
            .routes
            .options()
            .map_or(String::new(), |cluster| cluster.name.clone()),
        headers: true,
        ..ConnectOptions::default()
    };
    let json = hub.route_info();
    connection.send(json.len(), |out| {
        route::encode::connect(out, &options);
        info_line(out, &json);
    });
}

impl Protocol for RouteSession {
    fn process(&mut self, buf: &[u8]) -> (usize, Next) {
        let mut done = 0;
        let next = loop {
            match route::parse(&buf[done..], &self.limits) {
                Ok(Parsed::Complete { op, consumed }) => {
                    done += consumed;
                    if let Err(error) = self.operate(op) {
                        break self.fail(&error);
                    }
                    if self.connection.is_closed() {
                        break Next::Close;
                    }
                }
                Ok(Parsed::Incomplete { needed }) => break Next::Read { needed },
                Err(error) => break self.fail(&error),
            }
        };
        self.connection
            .in_messages
            .store(self.in_messages, Ordering::Relaxed);
        self.connection
            .in_bytes
            .store(self.in_bytes, Ordering::Relaxed);
        (done, next)
    }

    // Routes are authorized by what they say, without waiting for anybody.
    async fn login(&mut self, _: Option<Box<ConnectOptions>>) -> Result<(), Next> {
        Ok(())
    }

    async fn login_again(&mut self) -> Result<(), Next> {
        Ok(())
    }

    // A route has no limits of a client.
    fn refresh_limits(&mut self) {}

    fn stalls(&self) -> bool {
        // One slow client must not hold up every other client's messages.
        false
    }

    fn end(&mut self) {
        self.connection.close(CloseReason::ClientClosed);
        for (_, (account, sub)) in self.interest.drain() {
            sub.close();
            account.remove(&sub);
        }
        let Some(info) = self.peer.take() else { return };
        let reason = self.connection.close_reason();
        self.hub.count_past(&self.connection, reason);
        let routes = self.hub.routes.clone();
        if let Some(peer) = routes.unregister(&self.connection, &info.server_id) {
            tracing::info!(peer = %info.server_name, reason = reason.name(), "route is down");
            routes.notify(&peer.info, false);
            self.hub.announce_to_routes();
            self.hub.announce_to_clients();
        }
    }
}

impl RouteSession {
    pub fn new(hub: Arc<Hub>, connection: Arc<Connection>, role: Role) -> RouteSession {
        RouteSession {
            hub,
            connection,
            role,
            limits: route::Limits::default(),
            authorized: matches!(role, Role::Dialled { .. }),
            peer: None,
            interest: HashMap::new(),
            accounts: HashMap::new(),
            in_messages: 0,
            in_bytes: 0,
        }
    }

    fn operate(&mut self, op: Op<'_>) -> Result<(), Error> {
        match op {
            // The other side's interest may overtake the INFO with which it registers the route.
            Op::Msg(_) | Op::Sub(_) | Op::Unsub(_) if !self.authorized => {
                return Err(Error::AuthorizationViolation);
            }
            Op::Msg(message) => self.message(&message),
            Op::Sub(interest) => self.add_interest(&interest)?,
            Op::Unsub(interest) => self.remove_interest(&interest),
            Op::Ping => self.connection.send(0, encode::pong),
            Op::Pong => self.connection.note_pong(),
            Op::Connect(json) => self.connect(json)?,
            Op::Info(json) => self.info(json)?,
            Op::Ok | Op::AccountSub(_) | Op::AccountUnsub(_) => {}
            Op::Err(text) => {
                let text = String::from_utf8_lossy(text);
                tracing::warn!(peer = %self.connection.peer, %text, "route refused by the other server");
                self.connection.close(CloseReason::ClientClosed);
            }
        }
        Ok(())
    }

    fn fail(&self, error: &Error) -> Next {
        if let Some(text) = error.text() {
            self.connection
                .send(text.len(), |out| encode::err(out, &text));
        }
        tracing::warn!(peer = %self.connection.peer, %error, "route ends");
        self.connection.close(error.close_reason());
        Next::Close
    }

    fn connect(&mut self, json: &[u8]) -> Result<(), Error> {
        let options =
            ConnectOptions::parse(json).map_err(|_| Error::Malformed { verb: "CONNECT" })?;
        if !options.lang.is_empty() {
            return Err(Error::WrongPortRoute);
        }
        let Some(cluster) = self.hub.routes.options() else {
            return Err(Error::AuthorizationViolation);
        };
        let known = match &cluster.user {
            Some((user, pass)) => options.user == *user && options.pass == *pass,
            None => true,
        };
        if !known {
            return Err(Error::AuthorizationViolation);
        }
        self.authorized = true;
        Ok(())
    }

    fn info(&mut self, json: &[u8]) -> Result<(), Error> {
        let malformed = |_| Error::Malformed { verb: "INFO" };
        let info = PeerInfo::parse(json, self.connection.peer).map_err(malformed)?;
        if !self.authorized {
            return Err(Error::AuthorizationViolation);
        }
        let cluster = self.hub.routes.options();
        if cluster.is_none_or(|cluster| cluster.name != info.cluster) {
            tracing::warn!(peer = %self.connection.peer, cluster = %info.cluster, "route refused: another cluster");
            self.connection.close(CloseReason::ClusterNameConflict);
            return Ok(());
        }
        if info.server_id == self.hub.options().server.server_id {
            self.connection.close(CloseReason::DuplicateRoute);
            return Ok(());
        }
        match &self.peer {
            None => self.register(info),
            Some(known) if known.server_id == info.server_id => self.update(info),
            Some(_) => return Err(Error::AuthorizationViolation),
        }
        Ok(())
    }

    fn register(&mut self, info: PeerInfo) {
        let own_id = self.hub.options().server.server_id.clone();
        let (dialler, is_configured) = match self.role {
            Role::Dialled { is_configured } => (own_id.clone(), is_configured),
            Role::Accepted => (info.server_id.clone(), false),
        };
        let connection = self.connection.clone();
        let peer = Peer {
            connection,
            info: info.clone(),
            dialler,
            is_configured,
        };
        let registration = self.hub.routes.register(&own_id, peer);
        if registration == Registration::Duplicate {
            self.connection.close(CloseReason::DuplicateRoute);
            return;
        }
        self.connection.set_trait(traits::INTRODUCED, true);
        if self.hub.phase() == Phase::Stopped {
            self.connection.close(CloseReason::ServerShutdown);
        }
        self.peer = Some(info.clone());
        self.tell_everything();
        if registration == Registration::New {
            tracing::info!(peer = %info.server_name, address = %info.address, "route is up");
            self.hub.routes.notify(&info, true);
        }
        // This also answers the other side, which registers the route when it hears it.
        self.hub.announce_to_routes();
        self.hub.announce_to_clients();
        self.dial_strangers(&info);
    }

    /// Sends this server's whole interest.
    fn tell_everything(&self) {
        for account in self.hub.accounts() {
            account.tell_all(|subject, queue, count| {
                tell_interest(&self.connection, account.name(), subject, queue, count);
            });
        }
    }

    fn update(&mut self, info: PeerInfo) {
        let Some(known) = self.peer.replace(info.clone()) else {
            return;
        };
        {
            let mut table = self.hub.routes.table.lock();
            let peer = table.peers.get_mut(&info.server_id);
            if let Some(peer) = peer.filter(|peer| Arc::ptr_eq(&peer.connection, &self.connection))
            {
                peer.info = info.clone();
            }
        }
        if known.extra != info.extra {
            self.hub.routes.notify(&info, true);
        }
        let before = (known.connect_urls, known.ws_connect_urls);
        if before != (info.connect_urls.clone(), info.ws_connect_urls.clone()) {
            self.hub.announce_to_clients();
        }
        self.dial_strangers(&info);
    }

    /// Dials the servers the other one knows and this one does not.
    fn dial_strangers(&self, info: &PeerInfo) {
        let own_id = &self.hub.options().server.server_id;
        for stranger in &info.peers {
            let known = stranger.id == *own_id || self.hub.routes.is_connected(&stranger.id);
            if !known && !stranger.address.is_empty() {
                self.hub
                    .dial_in_background(stranger.address.clone(), None, false);
            }
        }
    }

    fn add_interest(&mut self, interest: &Interest<'_>) -> Result<(), Error> {
        let Some(name) = interest.account else {
            return Ok(());
        };
        let Ok(name) = std::str::from_utf8(name) else {
            return Err(Error::Malformed { verb: "RS+" });
        };
        let account = self.hub.account(name);
        let queue = interest.queue.map_or(&b""[..], |queue| queue.name);
        let weight = interest.queue.map_or(1, |queue| queue.weight.max(1));
        let key = interest_key(interest);
        if let Some((account, old)) = self.interest.get(&key) {
            if old.weight == weight {
                return Ok(());
            }
            old.close();
            account.remove(old);
        }
        let sub = Sub::new(NewSub {
            target: Target::Route(self.connection.clone()),
            subject: interest.subject,
            queue,
            sid: b"",
            deny: None,
            weight,
            gossip: false,
        });
        account.insert(&sub);
        self.interest.insert(key, (account, sub));
        self.note_interest();
        Ok(())
    }

    fn remove_interest(&mut self, interest: &Interest<'_>) {
        if let Some((account, sub)) = self.interest.remove(&interest_key(interest)) {
            sub.close();
            account.remove(&sub);
        }
        self.note_interest();
    }

    fn note_interest(&self) {
        self.connection
            .remote_interest
            .store(self.interest.len(), Ordering::Relaxed);
    }

    fn message(&mut self, message: &route::Message<'_>) {
        self.in_messages += 1;
        self.in_bytes += message.message.len() as u64;
        let Some(name) = message.account else { return };
        if !self.accounts.contains_key(name) {
            let Ok(text) = std::str::from_utf8(name) else {
                return;
            };
            let Some(account) = self.hub.existing_account(text) else {
                return;
            };
            let cache = MatchCache::new(MATCHES_CACHED);
            self.accounts.insert(name.into(), Known { account, cache });
        }
        let Some(Known { account, cache }) = self.accounts.get_mut(name) else {
            return;
        };
        let (reply, shown) = super::split_shown(message.reply);
        let routed = Message {
            account,
            subject: message.subject,
            shown: shown.unwrap_or(message.subject),
            reply,
            header_len: message.header_len,
            body: message.message,
            origin: Origin {
                kind: OriginKind::Route,
                connection: self.connection.id,
            },
            hops: 0,
        };
        let matches = match cache.get(account.generation(), message.subject) {
            Some(matches) => matches,
            None => account.with_list(|list| cache.fill(list, message.subject)),
        };
        deliver::deliver_routed(&routed, matches, message.queues.iter());
    }
}

fn interest_key(interest: &Interest<'_>) -> Box<[u8]> {
    let account = interest.account.unwrap_or_default();
    let queue = interest.queue.map(|queue| queue.name);
    let parts = [account, interest.subject, queue.unwrap_or_default()];
    parts.join(&b' ').into_boxed_slice()
}
