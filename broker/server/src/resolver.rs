//! Account tokens in operator mode: where they are kept, how they change while the server runs.
//!
//! A full resolver keeps every token as a file `<account>.jwt`. Tokens are pushed to
//! `$SYS.REQ.CLAIMS.UPDATE` on any server of the cluster, and servers that were away when that
//! happened catch up by asking for a pack of everything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use anyhow::{Context, bail};
use hub::{Delivery, Hub, Publish};
use identity::authenticator::AccountLookup;
use identity::jwt::{AccountClaims, GenericClaims};
use parking_lot::RwLock;
use serde_json::json;
use settings::options;

use crate::auth::{CurrentRules, now_s};

/// Called when an account's claims are new: with its key, and the claims or nothing once deleted.
pub type Changed = Box<dyn Fn(&str, Option<&AccountClaims>) + Send + Sync>;

/// Longest pack of tokens sent in one message, in bytes.
const PACK_BYTES_MAX: usize = 512 * 1024;

/// The account tokens this server knows.
pub struct Resolver {
    rules: CurrentRules,
    directory: Option<Directory>,
    tokens: RwLock<BTreeMap<String, Token>>,
    changed: RwLock<Option<Changed>>,
}

struct Directory {
    path: PathBuf,
    allow_delete: bool,
}

#[derive(Clone)]
struct Token {
    text: String,
    claims: Arc<AccountClaims>,
}

impl Resolver {
    /// Loads what is configured and stored.
    pub fn open(settings: &settings::Options, rules: CurrentRules) -> anyhow::Result<Arc<Self>> {
        let directory = match &settings.resolver {
            None | Some(options::Resolver::Memory) => None,
            Some(options::Resolver::Url(url)) => {
                bail!("resolver URL({url}) is not served by this version; use type full or MEMORY")
            }
            Some(options::Resolver::Directory {
                dir, allow_delete, ..
            }) => {
                std::fs::create_dir_all(dir)
                    .with_context(|| format!("resolver directory {}", dir.display()))?;
                Some(Directory {
                    path: dir.clone(),
                    allow_delete: *allow_delete,
                })
            }
        };
        let resolver = Resolver {
            rules,
            directory,
            tokens: RwLock::default(),
            changed: RwLock::default(),
        };
        resolver.preload(&settings.resolver_preload)?;
        resolver.load_directory()?;
        Ok(Arc::new(resolver))
    }

    /// Takes in the tokens of the configuration.
    pub fn preload(&self, tokens: &BTreeMap<String, String>) -> anyhow::Result<()> {
        for (account, token) in tokens {
            self.put(token)
                .with_context(|| format!("preloaded token of {account}"))?;
        }
        Ok(())
    }

    fn load_directory(&self) -> anyhow::Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        for entry in std::fs::read_dir(&directory.path)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "jwt") {
                continue;
            }
            let token = std::fs::read_to_string(&path)?;
            if let Err(error) = self.put(token.trim()) {
                tracing::warn!(file = %path.display(), "account token is not used: {error:#}");
            }
        }
        Ok(())
    }

    /// Has `changed` called for every account known now and whenever one changes.
    pub fn on_change(&self, changed: Changed) {
        let known: Vec<Token> = self.tokens.read().values().cloned().collect();
        for token in known {
            changed(&token.claims.subject, Some(&token.claims));
        }
        *self.changed.write() = Some(changed);
    }

    /// Takes in a token if it is valid and newer than the one known. Returns the account's key.
    fn put(&self, text: &str) -> anyhow::Result<(String, bool)> {
        let claims = Arc::new(self.rules.load().verify_account(text, now_s())?);
        let account = claims.subject.clone();
        {
            let mut tokens = self.tokens.write();
            if tokens
                .get(&account)
                .is_some_and(|t| t.claims.issued_at_s > claims.issued_at_s)
            {
                return Ok((account, false));
            }
            let token = Token {
                text: text.to_owned(),
                claims: claims.clone(),
            };
            tokens.insert(account.clone(), token);
        }
        if let Some(changed) = &*self.changed.read() {
            changed(&account, Some(&claims));
        }
        Ok((account, true))
    }

    /// Takes in a pushed token and keeps it.
    fn update(&self, text: &str) -> anyhow::Result<String> {
        let (account, is_new) = self.put(text)?;
        if is_new && let Some(directory) = &self.directory {
            let file = directory.path.join(format!("{account}.jwt"));
            let fresh = file.with_extension("new");
            std::fs::write(&fresh, text)?;
            std::fs::File::open(&fresh)?.sync_all()?;
            std::fs::rename(&fresh, &file)?;
        }
        Ok(account)
    }

    fn delete(&self, request: &str) -> anyhow::Result<usize> {
        let Some(directory) = self
            .directory
            .as_ref()
            .filter(|directory| directory.allow_delete)
        else {
            bail!("delete must be enabled in server config")
        };
        let claims = GenericClaims::decode(request).context("delete request")?;
        if !self.rules.load().is_trusted(&claims.issuer) {
            bail!("delete request is not signed by a trusted operator key")
        }
        let accounts = claims.body.strings("accounts");
        for account in &accounts {
            self.tokens.write().remove(account);
            let file = directory.path.join(format!("{account}.jwt"));
            if file.exists() {
                std::fs::rename(&file, file.with_extension("jwt.deleted"))?;
            }
            if let Some(changed) = &*self.changed.read() {
                changed(account, None);
            }
        }
        Ok(accounts.len())
    }

    fn packs(&self) -> Vec<String> {
        let mut packs = vec![String::new()];
        for (account, token) in &*self.tokens.read() {
            let line = format!("{account}|{}\n", token.text);
            match packs.last_mut() {
                Some(pack) if pack.len() + line.len() <= PACK_BYTES_MAX => pack.push_str(&line),
                _ => packs.push(line),
            }
        }
        packs.retain(|pack| !pack.is_empty());
        packs
    }

    fn merge(&self, pack: &str) {
        for line in pack.lines() {
            if let Some((_, token)) = line.split_once('|')
                && let Err(error) = self.update(token)
            {
                tracing::debug!("token of another server is not used: {error:#}");
            }
        }
    }
}

impl AccountLookup for Resolver {
    fn account(&self, public_key: &str) -> Option<Arc<AccountClaims>> {
        self.tokens
            .read()
            .get(public_key)
            .map(|token| token.claims.clone())
    }
}

/// Serves the claims services of the system account.
pub struct ClaimsService {
    resolver: Arc<Resolver>,
    hub: Weak<Hub>,
    system_account: String,
    /// This server, as the replies describe it.
    server: serde_json::Value,
}

impl ClaimsService {
    /// Starts to serve, and asks the other servers for what this one missed whenever a route
    /// comes up.
    pub fn start(
        resolver: Arc<Resolver>,
        hub: &Arc<Hub>,
        system_account: &str,
        server: serde_json::Value,
    ) {
        let service = Arc::new(ClaimsService {
            resolver,
            hub: Arc::downgrade(hub),
            system_account: system_account.to_owned(),
            server,
        });
        let subjects = [
            "$SYS.REQ.CLAIMS.UPDATE",
            "$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE",
            "$SYS.ACCOUNT.*.CLAIMS.UPDATE",
            "$SYS.REQ.CLAIMS.DELETE",
            "$SYS.REQ.CLAIMS.LIST",
            "$SYS.REQ.CLAIMS.PACK",
            "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",
        ];
        for subject in subjects {
            let service = service.clone();
            let handler = move |request: &Delivery<'_>| service.handle(request);
            hub.subscribe(system_account, subject, None, Arc::new(handler));
        }
        let inbox = format!("$SYS._INBOX.CLAIMS.{}", hub.options().server.server_id);
        let merging = service.clone();
        let merge = move |pack: &Delivery<'_>| {
            merging
                .resolver
                .merge(&String::from_utf8_lossy(pack.payload()));
        };
        hub.subscribe(system_account, &inbox, None, Arc::new(merge));
        hub.on_route_change(Arc::new(move |event| {
            if event.up {
                service.send("$SYS.REQ.CLAIMS.PACK", &inbox, b"");
            }
        }));
    }

    fn handle(&self, request: &Delivery<'_>) {
        let subject = String::from_utf8_lossy(request.subject);
        let body = String::from_utf8_lossy(request.payload()).trim().to_owned();
        let reply = String::from_utf8_lossy(request.reply).into_owned();
        if subject.ends_with("CLAIMS.PACK") {
            for pack in self.resolver.packs() {
                self.send(&reply, "", pack.as_bytes());
            }
            return;
        }
        if subject.ends_with("CLAIMS.LOOKUP") {
            let account = subject.split('.').nth(3).unwrap_or_default();
            let token = self
                .resolver
                .tokens
                .read()
                .get(account)
                .map(|token| token.text.clone());
            if let Some(token) = token {
                self.send(&reply, "", token.as_bytes());
            }
            return;
        }
        let response = if subject.ends_with("CLAIMS.LIST") {
            let accounts: Vec<String> = self.resolver.tokens.read().keys().cloned().collect();
            json!({ "server": self.server, "data": accounts })
        } else if subject.ends_with("CLAIMS.DELETE") {
            match self.resolver.delete(&body) {
                Ok(count) => self.done("", &format!("deleted {count} accounts")),
                Err(error) => self.failed("", &error),
            }
        } else {
            match self.resolver.update(&body) {
                Ok(account) => self.done(&account, "jwt updated"),
                Err(error) => self.failed("", &error),
            }
        };
        self.send(&reply, "", response.to_string().as_bytes());
    }

    fn done(&self, account: &str, message: &str) -> serde_json::Value {
        let mut data = json!({ "code": 200, "message": message });
        if !account.is_empty() {
            data["account"] = account.into();
        }
        json!({ "server": self.server, "data": data })
    }

    fn failed(&self, account: &str, error: &anyhow::Error) -> serde_json::Value {
        let description = format!("{error:#}");
        tracing::warn!(account, error = description, "claims request refused");
        json!({ "server": self.server, "error": { "code": 500, "description": description } })
    }

    fn send(&self, subject: &str, reply: &str, payload: &[u8]) {
        if subject.is_empty() {
            return;
        }
        if let Some(hub) = self.hub.upgrade() {
            let account = hub.account(&self.system_account);
            let message = Publish {
                subject: subject.as_bytes(),
                reply: reply.as_bytes(),
                payload,
                ..Publish::default()
            };
            hub.publish(&account, &message);
        }
    }
}
