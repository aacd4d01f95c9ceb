//! One client: the operations of the client protocol.
//!
//! A [`Session`] is owned by the connection's task. [`Session::process`] takes bytes and never
//! waits; whatever needs waiting (a login) is handed back to the driver.

mod login;

use std::sync::{Arc, atomic::Ordering};

use identity::Permissions;
use subject::{MatchCache, Matches};
use wire::{
    CloseReason, ConnectOptions, Error,
    client::{Op, Parsed, Publish},
    encode,
};

use self::login::Refusal;
use crate::{
    account::Account,
    connection::Connection,
    deliver::{self, Message},
    delivery::{Origin, OriginKind},
    drive::{Next, Protocol},
    hub::Hub,
    info::Door,
    snapshot::snapshot,
    subscription::{NewSub, Sub, Target},
    watch::ClientEvent,
};

/// Recent matches one publisher remembers.
const MATCHES_CACHED: usize = 256;
/// The queue group nobody but the server may join.
const RESERVED_QUEUE: &[u8] = b"_sys_";
/// Room for a short control message.
const SHORT_BYTES: usize = 256;

pub(crate) struct Session {
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    limits: wire::client::Limits,
    account: Option<Arc<Account>>,
    permissions: Permissions,
    restricted: bool,
    max_subscriptions: usize,
    verbose: bool,
    pedantic: bool,
    no_responders: bool,
    async_info: bool,
    told_connect_info: bool,
    cache: MatchCache<Sub>,
    in_messages: u64,
    in_bytes: u64,
}

impl Protocol for Session {
    /// Acts on every complete operation of `buf`. Returns how many bytes are done with.
    fn process(&mut self, buf: &[u8]) -> (usize, Next) {
        let (messages, bytes) = (self.in_messages, self.in_bytes);
        let mut done = 0;
        let next = loop {
            match wire::client::parse(&buf[done..], &self.limits) {
                Ok(Parsed::Complete { op, consumed }) => {
                    if self.account.is_none()
                        && let Some(next) = self.before_login(&op)
                    {
                        break next;
                    }
                    done += consumed;
                    match self.operate(op) {
                        Ok(None) => {}
                        Ok(Some(next)) => break next,
                        Err(error) => break self.fail(error),
                    }
                }
                Ok(Parsed::Incomplete { needed }) => break Next::Read { needed },
                Err(error) => break self.fail(error),
            }
        };
        self.count(messages, bytes);
        (done, next)
    }

    async fn login(&mut self, options: Option<Box<ConnectOptions>>) -> Result<(), Next> {
        let asked = options.is_some();
        // From here on it is not the client that is late: whoever is asked about it has a deadline of their own.
        self.connection
            .deadline_ms
            .store(u64::MAX, Ordering::Relaxed);
        match self.try_login(options.unwrap_or_default()).await {
            Ok(()) if asked => self.ok(),
            Ok(()) => {}
            Err(error) => return Err(self.fail(error)),
        }
        let connection = &self.connection;
        self.hub
            .tell(|| ClientEvent::Connected(snapshot(connection)));
        Ok(())
    }

    async fn login_again(&mut self) -> Result<(), Next> {
        match self.try_login_again().await {
            Ok(()) => Ok(()),
            Err(Refusal::Told(error)) => Err(self.fail(error)),
            Err(Refusal::Silent) => {
                self.connection.close(CloseReason::ClientClosed);
                Err(Next::Close)
            }
        }
    }

    fn refresh_limits(&mut self) {
        Session::refresh_limits(self);
    }

    fn stalls(&self) -> bool {
        !self.hub.limits().no_fast_producer_stall
    }

    fn end(&mut self) {
        self.connection.close(CloseReason::ClientClosed);
        let subscriptions = self.connection.subs.lock().len();
        if let Some(account) = self.account.take() {
            self.drop_subscriptions(&account);
            account.connections.fetch_sub(1, Ordering::Relaxed);
        }
        self.hub.forget_client(&self.connection, subscriptions);
    }
}

impl Session {
    pub fn new(hub: Arc<Hub>, connection: Arc<Connection>) -> Session {
        let defaults = ConnectOptions::default();
        let limits = wire::client::Limits {
            max_control_line: hub.limits().max_control_line,
            max_payload: Some(hub.limits().max_payload),
            headers: false,
        };
        Session {
            hub,
            connection,
            limits,
            account: None,
            permissions: Permissions::default(),
            restricted: false,
            max_subscriptions: usize::MAX,
            verbose: defaults.verbose,
            pedantic: defaults.pedantic,
            no_responders: false,
            async_info: false,
            told_connect_info: false,
            cache: MatchCache::new(MATCHES_CACHED),
            in_messages: 0,
            in_bytes: 0,
        }
    }

    fn must_log_in(&self) -> bool {
        let kind = Door::of(&self.connection).kind();
        self.hub.authenticator().auth_required_of(kind)
    }

    /// Publishes the counters, once per buffer.
    fn count(&mut self, messages_before: u64, bytes_before: u64) {
        let messages = self.in_messages - messages_before;
        if messages == 0 {
            return;
        }
        self.connection
            .in_messages
            .store(self.in_messages, Ordering::Relaxed);
        self.connection
            .in_bytes
            .store(self.in_bytes, Ordering::Relaxed);
        if let Some(account) = &self.account {
            account.in_messages.fetch_add(messages, Ordering::Relaxed);
            account
                .in_bytes
                .fetch_add(self.in_bytes - bytes_before, Ordering::Relaxed);
        }
    }

    /// A client that nobody asked to log in may start with any operation: it is logged in with
    /// default options then, and the operation is looked at again.
    #[cold]
    fn before_login(&self, op: &Op<'_>) -> Option<Next> {
        match op {
            Op::Connect(_) => None,
            Op::Ping | Op::Pong | Op::Info(_) | Op::Ok | Op::Err(_) if !self.must_log_in() => None,
            _ if self.must_log_in() => Some(self.fail(Error::AuthorizationViolation)),
            _ => Some(Next::ImplicitLogin),
        }
    }

    fn operate(&mut self, op: Op<'_>) -> Result<Option<Next>, Error> {
        match op {
            Op::Pub(publish) => self.publish(&publish)?,
            Op::Sub {
                subject,
                queue,
                sid,
            } => self.subscribe(subject, queue, sid)?,
            Op::Unsub { sid, max } => self.unsubscribe(sid, max),
            Op::Ping => self.ping(),
            Op::Pong => self.connection.note_pong(),
            Op::Connect(json) => {
                let mut options = ConnectOptions::parse(json)
                    .map_err(|_| Error::Malformed { verb: "CONNECT" })?;
                if self.account.is_some() {
                    self.keep_unmentioned(json, &mut options);
                }
                return Ok(Some(Next::Login(Box::new(options))));
            }
            Op::Info(_) | Op::Ok => {}
            Op::Err(_) => return Err(Error::Malformed { verb: "-ERR" }),
        }
        Ok(None)
    }

    /// Tells the client what it did wrong. Returns whether the connection goes on.
    fn complain(&self, error: &Error) {
        if let Some(text) = error.text() {
            self.connection
                .send(SHORT_BYTES + text.len(), |out| encode::err(out, &text));
        }
    }

    fn fail(&self, error: Error) -> Next {
        self.complain(&error);
        tracing::debug!(cid = self.connection.id, %error, "client connection ends");
        self.connection.close(error.close_reason());
        Next::Close
    }

    fn ok(&self) {
        if self.verbose {
            self.connection.send(SHORT_BYTES, encode::ok);
        }
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Result<(), Error> {
        self.in_messages += 1;
        self.in_bytes += publish.message.len() as u64;
        let Some(account) = &self.account else {
            return Ok(());
        };
        if self.pedantic && !subject::is_valid_publish(publish.subject) {
            self.complain(&Error::InvalidPublishSubject);
        }
        if self.restricted && !self.may_publish(publish) {
            return Ok(());
        }
        self.ok();
        let message = Message {
            shown: publish.subject,
            account,
            subject: publish.subject,
            reply: publish.reply,
            header_len: publish.header_len,
            body: publish.message,
            origin: Origin {
                kind: OriginKind::Client,
                connection: self.connection.id,
            },
            hops: 0,
        };
        let generation = account.generation();
        let matches = match self.cache.get(generation, publish.subject) {
            Some(matches) => matches,
            None => {
                // Mappings and matches are read together: a mapping that is set later makes the
                // remembered match invalid. Subjects that are mapped away are never remembered.
                let found = account.with_list(|list| match account.mapped(publish.subject) {
                    Some(elsewhere) => Err(elsewhere),
                    None => Ok(self.cache.fill(list, publish.subject)),
                });
                match found {
                    Ok(matches) => matches,
                    Err(elsewhere) => {
                        self.publish_mapped(&message, &elsewhere);
                        return Ok(());
                    }
                }
            }
        };
        let delivered = deliver::deliver(&message, matches);
        if !delivered && self.no_responders && publish.reply.is_some() {
            self.nobody_answers(&message);
        }
        Ok(())
    }

    #[cold]
    fn publish_mapped(&self, message: &Message<'_>, subject: &[u8]) {
        let message = Message {
            subject,
            shown: subject,
            ..*message
        };
        let delivered = deliver::deliver_uncached(&message);
        if !delivered && self.no_responders && message.reply.is_some() {
            self.nobody_answers(&message);
        }
    }

    /// Checks the publish permissions and tells the client if they forbid the message.
    fn may_publish(&self, publish: &Publish<'_>) -> bool {
        if self.permissions.can_publish(publish.subject)
            || self.connection.may_reply(publish.subject)
        {
            return true;
        }
        let subject = String::from_utf8_lossy(publish.subject).into_owned();
        self.complain(&Error::PublishDenied { subject });
        false
    }

    /// A request nobody is there to answer: the requester learns it at once.
    #[cold]
    fn nobody_answers(&self, message: &Message<'_>) {
        let Some(reply) = message.reply else { return };
        let mut header = Vec::with_capacity(SHORT_BYTES);
        header.extend_from_slice(b"NATS/1.0 503\r\nNats-Subject: ");
        header.extend_from_slice(message.subject);
        header.extend_from_slice(b"\r\n\r\n");
        let status = Message {
            shown: reply,
            subject: reply,
            reply: None,
            header_len: header.len(),
            body: &header,
            origin: Origin::SYSTEM,
            ..*message
        };
        let mut matches = Matches::default();
        message.account.match_into(reply, &mut matches);
        let own = matches.plain().iter().find(|sub| match &sub.target {
            Target::Client(target) => Arc::ptr_eq(target, &self.connection),
            _ => false,
        });
        if let Some(sub) = own {
            deliver::to_local(&status, sub);
        }
    }

    fn subscribe(&mut self, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) -> Result<(), Error> {
        let Some(account) = self.account.clone() else {
            return Ok(());
        };
        if let Err(error) = self.check_subscribe(&account, subject, queue) {
            self.complain(&error);
            return Ok(());
        }
        let sub = Sub::new(NewSub {
            target: Target::Client(self.connection.clone()),
            subject,
            queue: queue.unwrap_or_default(),
            sid,
            deny: self.deny_for(subject, queue),
            weight: 1,
            gossip: true,
        });
        // A sid that is taken keeps its subscription; the client is not told.
        if self.connection.subs.lock().insert(sub.clone()) {
            account.insert(&sub);
        }
        self.ok();
        Ok(())
    }

    /// The permissions that deliveries of this subscription must be checked against, if they must.
    fn deny_for(&self, subject: &[u8], queue: Option<&[u8]>) -> Option<Permissions> {
        let filters = self.permissions.filters_delivery(subject, queue);
        filters.then(|| self.permissions.clone())
    }

    fn check_subscribe(
        &self,
        account: &Account,
        subject: &[u8],
        queue: Option<&[u8]>,
    ) -> Result<(), Error> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if queue == Some(RESERVED_QUEUE) || !self.permissions.can_subscribe(subject, queue) {
            return Err(Error::SubscribeDenied {
                subject: text(subject),
                queue: queue.map(text),
            });
        }
        let max_tokens = self.hub.limits().max_sub_tokens;
        if max_tokens > 0 && subject::tokens(subject).count() > max_tokens {
            return Err(Error::TooManyTokens {
                subject: text(subject),
            });
        }
        let of_account = usize::try_from(account.limits().max_subscriptions).unwrap_or(usize::MAX);
        if self.connection.subs.lock().len() >= self.max_subscriptions.min(of_account) {
            return Err(Error::MaxSubscriptions);
        }
        if !subject::is_valid_subscribe(subject) {
            return Err(Error::InvalidSubject);
        }
        Ok(())
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        self.ok();
        let mut subs = self.connection.subs.lock();
        let Some(sub) = subs.get(sid).cloned() else {
            return;
        };
        if let Some(max) = max {
            sub.set_max(max);
            if sub.delivered() < max {
                return;
            }
        }
        subs.remove(sid);
        drop(subs);
        if let (true, Some(account)) = (sub.close(), &self.account) {
            account.remove(&sub);
        }
    }

    fn ping(&mut self) {
        self.connection.send(SHORT_BYTES, encode::pong);
        self.connection.note_first_ping();
        if self.account.is_none() || self.told_connect_info || !self.async_info {
            return;
        }
        self.told_connect_info = true;
        let info = self.hub.connect_info(&self.connection);
        self.connection
            .send(SHORT_BYTES, |out| encode::info(out, &info));
    }

    /// Ends every subscription: the connection is gone or belongs to another account now.
    fn drop_subscriptions(&self, account: &Account) {
        let subs = self.connection.subs.lock().take_all();
        for sub in subs {
            if sub.close() {
                account.remove(&sub);
            }
        }
    }
}
