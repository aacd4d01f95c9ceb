//! CONNECT: who the client is, and what follows from it.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use identity::Login;
use serde::de::IgnoredAny;
use wire::{ConnectOptions, Error};

use super::Session;
use crate::{
    account::Account,
    auth::{AuthFailure, ConnectRequest},
    connection::{Connection, traits},
    info::Door,
    permission::ReplyGrants,
};

/// The newest version of the client protocol.
const PROTOCOL_MAX: i64 = 1;

impl Session {
    /// Logs the client in; an error ends the connection.
    pub(super) async fn try_login(&mut self, options: Box<ConnectOptions>) -> Result<(), Error> {
        self.introduce(&options);
        let login = self.ask(&options, None).await?;
        if !(0..=PROTOCOL_MAX).contains(&options.protocol) {
            return Err(Error::InvalidClientProtocol);
        }
        // Clients cannot make accounts here, nor choose one.
        if !options.account.is_empty() || options.new_account {
            return Err(Error::AuthorizationViolation);
        }
        let headers = options.headers && !self.hub.limits().no_header_support;
        if options.no_responders && !headers {
            return Err(Error::NoRespondersRequiresHeaders);
        }
        if let Err(error) = self.enter(&login) {
            // Whoever is told of its end is told where it would have been.
            let mut facts = self.connection.facts.lock();
            facts.account = Some(self.hub.account(&login.account));
            facts.login = Some(Box::new(login));
            return Err(error);
        }
        self.apply_options(&options, headers);
        self.apply_login(&login);
        self.remember(options, login);
        Ok(())
    }

    /// The limits of the server or of the account may have changed.
    pub(super) fn refresh_limits(&mut self) {
        self.limits.max_control_line = self.hub.limits().max_control_line;
        let login = self.connection.facts.lock().login.clone();
        match login {
            Some(login) => self.limit(&login),
            None => self.limits.max_payload = Some(self.hub.limits().max_payload),
        }
    }

    /// What a second CONNECT does not mention stays as the first one said.
    pub(super) fn keep_unmentioned(&self, json: &[u8], options: &mut ConnectOptions) {
        let keys: HashMap<String, IgnoredAny> = serde_json::from_slice(json).unwrap_or_default();
        let mentions = |name: &str| keys.keys().any(|key| key.eq_ignore_ascii_case(name));
        let keep = |name: &str, now: bool, option: &mut bool| {
            if !mentions(name) {
                *option = now;
            }
        };
        keep("verbose", self.verbose, &mut options.verbose);
        keep("pedantic", self.pedantic, &mut options.pedantic);
        keep("headers", self.limits.headers, &mut options.headers);
        keep(
            "no_responders",
            self.no_responders,
            &mut options.no_responders,
        );
        keep(
            "echo",
            self.connection.has_trait(traits::ECHO),
            &mut options.echo,
        );
    }

    async fn ask(
        &self,
        options: &ConnectOptions,
        login: Option<Login>,
    ) -> Result<Login, AuthFailure> {
        let mut options = options.clone();
        let (nonce, tls) = {
            let facts = self.connection.facts.lock();
            if let Some(cookies) = &facts.cookies {
                cookies.complete(&mut options);
            }
            (facts.nonce.to_string(), facts.tls.as_deref().cloned())
        };
        let request = ConnectRequest {
            cid: self.connection.id,
            options,
            kind: Door::of(&self.connection).kind(),
            nonce,
            peer: self.connection.peer,
            tls,
            login,
        };
        self.hub.authenticator().authenticate(request).await
    }

    /// Moves the connection into the login's account.
    fn enter(&mut self, login: &Login) -> Result<(), Error> {
        let account = self.hub.account(&login.account);
        if self
            .account
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &account))
        {
            return Ok(());
        }
        if let Some(left) = self.account.take() {
            self.drop_subscriptions(&left);
            left.connections.fetch_sub(1, Ordering::Relaxed);
        }
        self.cache.clear();
        join(&account)?;
        self.account = Some(account);
        Ok(())
    }

    fn apply_options(&mut self, options: &ConnectOptions, headers: bool) {
        self.verbose = options.verbose;
        self.pedantic = options.pedantic;
        self.no_responders = options.no_responders;
        self.async_info = options.protocol >= 1;
        self.limits.headers = headers;
        self.connection
            .set_trait(traits::ASYNC_INFO, self.async_info);
        self.connection.set_trait(traits::HEADERS, headers);
        self.connection.set_trait(traits::ECHO, options.echo);
    }

    fn apply_login(&mut self, login: &Login) {
        self.limit(login);
        self.restricted = login.permissions.rules().is_some();
        self.permissions = login.permissions.clone();
        grant_responses(&self.connection, login);
        let deadline_ms = login.ends_at_s().map_or(u64::MAX, |at_s| {
            let at_ms = u64::try_from(at_s).unwrap_or(0).saturating_mul(1000);
            at_ms.saturating_sub(self.connection.started_unix_ms())
        });
        self.connection
            .deadline_ms
            .store(deadline_ms, Ordering::Relaxed);
    }

    /// The strictest of what the user, its account and the server allow.
    fn limit(&mut self, login: &Login) {
        let server = self.hub.limits();
        let account = self
            .account
            .as_ref()
            .map(|account| account.limits())
            .unwrap_or_default();
        let of_account = u64::try_from(account.max_payload).ok();
        let payload = login.limits.max_payload.into_iter().chain(of_account).min();
        self.limits.max_payload = match payload {
            Some(payload) => Some((payload as usize).min(server.max_payload)),
            None => Some(server.max_payload),
        };
        let of_server = (server.max_subscriptions > 0).then_some(server.max_subscriptions as u64);
        let subscriptions = login
            .limits
            .max_subscriptions
            .into_iter()
            .chain(of_server)
            .min();
        self.max_subscriptions = subscriptions.map_or(usize::MAX, |max| max as usize);
    }

    /// What the client says about itself, true or not.
    fn introduce(&self, options: &ConnectOptions) {
        let mut facts = self.connection.facts.lock();
        facts.name = options.name.as_str().into();
        facts.lang = options.lang.as_str().into();
        facts.version = options.version.as_str().into();
        facts.claimed_user = options.user.as_str().into();
        facts.introduced = true;
    }

    fn remember(&self, options: Box<ConnectOptions>, login: Login) {
        let mut facts = self.connection.facts.lock();
        facts.account = self.account.clone();
        facts.login = Some(Box::new(login));
        facts.options = has_credentials(&options).then_some(options);
    }

    /// The user's rights may have changed: the credentials are checked again, and subscriptions
    /// that are not allowed any more end. A client whose user is gone or belongs to another account
    /// now is disconnected without a word: when it comes back everything is as it should be.
    pub(super) async fn try_login_again(&mut self) -> Result<(), Refusal> {
        let Some(account) = self.account.clone() else {
            return Ok(());
        };
        let (options, login) = {
            let facts = self.connection.facts.lock();
            let login = facts.login.as_deref().cloned();
            (facts.options.clone().unwrap_or_default(), login)
        };
        let login = match self.ask(&options, login).await {
            Ok(login) => login,
            Err(AuthFailure::UnknownUser) => return Err(Refusal::Silent),
            Err(AuthFailure::UserRevoked) => return Err(Refusal::Told(Error::UserRevoked)),
            Err(failure) => return Err(Refusal::Told(failure.into())),
        };
        if login.account != account.name() || account.is_removed() {
            return Err(Refusal::Silent);
        }
        self.apply_login(&login);
        {
            let mut facts = self.connection.facts.lock();
            facts.account = self.account.clone();
            facts.login = Some(Box::new(login));
        }
        self.revoke_subscriptions(&account);
        Ok(())
    }

    fn revoke_subscriptions(&self, account: &Account) {
        for sub in self.connection.subs.lock().iter() {
            sub.set_deny(self.deny_for(sub.subject(), sub.queue()));
        }
        let denied: Vec<_> = {
            let subs = self.connection.subs.lock();
            let denied = |sub: &&_| !allowed(&self.permissions, sub);
            subs.iter().filter(denied).cloned().collect()
        };
        for sub in denied {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.complain(&Error::SubscriptionRevoked {
                subject: text(sub.subject()),
                queue: sub.queue().map(text),
                sid: text(sub.sid()),
            });
            if sub.close() {
                self.connection.forget(&sub);
                account.remove(&sub);
            }
        }
    }
}

/// Why a login that was good is not any more.
pub(super) enum Refusal {
    Told(Error),
    Silent,
}

fn allowed(permissions: &identity::Permissions, sub: &crate::subscription::Sub) -> bool {
    permissions.can_subscribe(sub.subject(), sub.queue())
}

/// Counts the connection in its account, if there is room.
fn join(account: &Account) -> Result<(), Error> {
    let max = account.limits().max_connections;
    let before = account.connections.fetch_add(1, Ordering::Relaxed);
    if max >= 0 && before as i64 >= max {
        account.connections.fetch_sub(1, Ordering::Relaxed);
        return Err(Error::MaxAccountConnections);
    }
    Ok(())
}

fn grant_responses(connection: &Connection, login: &Login) {
    let rules = login.permissions.responses();
    let grants = rules.map(|rules| {
        let max = u32::try_from(rules.max_msgs).ok();
        let expires = u64::try_from(rules.expires_ns)
            .ok()
            .map(Duration::from_nanos);
        Box::new(ReplyGrants::new(max, expires))
    });
    connection.set_trait(traits::REPLIES, grants.is_some());
    *connection.replies.lock() = grants;
}

fn has_credentials(options: &ConnectOptions) -> bool {
    [
        &options.user,
        &options.pass,
        &options.auth_token,
        &options.nkey,
        &options.jwt,
    ]
    .iter()
    .any(|credential| !credential.is_empty())
}
