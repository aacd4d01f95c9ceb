//! Allowed imports at run time.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use subject::Renaming;

use super::{Export, Import, ServiceLink, ShareKind, Sharing, shadows::StreamLink};
use crate::{
    account::Account,
    batch,
    hub::Hub,
    subscription::{NewSub, Sub, Target},
};

/// What every account shares, by name.
pub(crate) type Definitions = BTreeMap<String, Arc<Sharing>>;

/// The allowed imports of one account.
#[derive(Default)]
pub(crate) struct Links {
    list: Vec<Link>,
}

struct Link {
    import: Import,
    /// The export that allows it.
    export: Export,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Stream(Arc<StreamLink>),
    /// Hears requests in the importing account.
    Service(Sub),
}

impl Hub {
    /// Sets what an account exports and imports. Imports of other accounts from this one follow.
    /// An import that is not allowed waits until it is.
    pub fn set_sharing(self: &Arc<Self>, account: &str, sharing: Sharing) {
        let mut definitions = self.sharing.lock();
        let before = match sharing == Sharing::default() {
            true => definitions.remove(account),
            false => definitions.insert(account.to_owned(), Arc::new(sharing)),
        };
        if before.as_deref() == definitions.get(account).map(|now| &**now) {
            return;
        }
        let concerned: Vec<String> = definitions
            .iter()
            .filter(|(_, sharing)| sharing.imports.iter().any(|one| one.account == account))
            .map(|(name, _)| name.clone())
            .filter(|name| name != account)
            .collect();
        for importer in concerned.iter().map(String::as_str).chain([account]) {
            self.link(importer, &definitions);
        }
    }

    /// Checks every import again that depends on the time.
    pub(crate) fn check_activations(self: &Arc<Self>) {
        let definitions = self.sharing.lock();
        let timed = |sharing: &Sharing| {
            let mut proofs = sharing.imports.iter().flat_map(|one| &one.activation);
            proofs.any(|proof| proof.expires_at_s.is_some() || proof.not_before_s.is_some())
        };
        for (importer, _) in definitions.iter().filter(|(_, sharing)| timed(sharing)) {
            self.link(importer, &definitions);
        }
    }

    /// Gives up answers that took too long.
    pub(crate) fn expire_responses(&self) {
        let now = Instant::now();
        for account in self.owing_accounts() {
            account.expire_responses(now);
        }
    }

    /// The export that allows an account's import; `None` if it is not in force.
    pub fn export_behind(&self, account: &str, import: &Import) -> Option<Export> {
        let account = self.existing_account(account)?;
        let links = account.links.lock();
        let link = links.list.iter().find(|link| link.import == *import)?;
        Some(link.export.clone())
    }

    /// What an account exports and imports.
    pub fn sharing(&self, account: &str) -> Arc<Sharing> {
        self.sharing
            .lock()
            .get(account)
            .cloned()
            .unwrap_or_default()
    }

    /// Makes an account's links what its imports and the others' exports say. The caller holds
    /// the definitions, so that two changes do not cross.
    fn link(self: &Arc<Self>, importer: &str, definitions: &Definitions) {
        let account = self.known_account(importer);
        let imports = definitions
            .get(importer)
            .map_or(&[][..], |sharing| &sharing.imports);
        let mut links = account.links.lock();
        let mut old = std::mem::take(&mut *links).list;
        let mut streams_changed = false;
        for import in imports {
            let Some(export) = allowed(importer, import, definitions) else {
                tracing::debug!(
                    account = importer,
                    exporter = import.account,
                    subject = import.subject,
                    "import is not allowed"
                );
                continue;
            };
            let known = old
                .iter()
                .position(|link| link.import == *import && link.export == *export);
            let way = match known {
                Some(known) => Some(old.swap_remove(known).way),
                None => self.way(&account, import, export),
            };
            let Some(way) = way else { continue };
            streams_changed |= known.is_none() && import.kind == ShareKind::Stream;
            links.list.push(Link {
                import: import.clone(),
                export: export.clone(),
                way,
            });
        }
        for link in old {
            match link.way {
                Way::Service(sub) => {
                    sub.close();
                    batch::run(|| account.remove(&sub));
                }
                Way::Stream(_) => streams_changed = true,
            }
        }
        if streams_changed {
            let streams = links.list.iter().filter_map(|link| match &link.way {
                Way::Stream(stream) => Some(stream.clone()),
                Way::Service(_) => None,
            });
            account.set_stream_links(streams.collect());
        }
    }

    fn way(
        self: &Arc<Self>,
        importer: &Arc<Account>,
        import: &Import,
        export: &Export,
    ) -> Option<Way> {
        let renaming = match &import.local {
            None => None,
            Some(local) => match Renaming::new(&import.subject, local) {
                Ok(renaming) => Some(renaming),
                Err(error) => {
                    tracing::error!(account = importer.name(), subject = import.subject, %error, "import cannot be used");
                    return None;
                }
            },
        };
        let exporter = self.account(&import.account);
        if import.kind == ShareKind::Stream {
            let local = local_subject(import, renaming.as_ref());
            let link = StreamLink::new(importer, exporter, local, renaming);
            return Some(Way::Stream(Arc::new(link)));
        }
        let local = local_subject(import, renaming.as_ref());
        let link = ServiceLink {
            hub: Arc::downgrade(self),
            is_system: import.account == self.options().system_account,
            importer: Arc::downgrade(importer),
            exporter,
            renaming,
            share: import.share,
            responses: export.responses,
            threshold: export.response_threshold,
            latency: export.latency.clone().map(Arc::new),
        };
        let sub = Sub::new(NewSub {
            target: Target::Service(Arc::new(link)),
            subject: &local,
            queue: b"",
            sid: b"",
            deny: None,
            weight: 1,
            // Every server has the imports, and takes requests in where they are published.
            gossip: false,
        });
        batch::run(|| importer.insert(&sub));
        Some(Way::Service(sub))
    }
}

/// The filter by which the importing account names what it imports.
fn local_subject(import: &Import, renaming: Option<&Renaming>) -> Vec<u8> {
    renaming
        .map_or(import.subject.as_bytes(), Renaming::new_names)
        .to_vec()
}

/// The export that allows an import: the one of exactly its subject, or else any.
fn allowed<'d>(
    importer: &str,
    import: &Import,
    definitions: &'d Definitions,
) -> Option<&'d Export> {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let now_s = i64::try_from(now_s).unwrap_or(i64::MAX);
    let exports = &definitions.get(&import.account)?.exports;
    let exact = exports
        .iter()
        .find(|export| export.kind == import.kind && export.subject == import.subject);
    if let Some(exact) = exact {
        return exact.allows(importer, import, now_s).then_some(exact);
    }
    exports
        .iter()
        .find(|export| export.allows(importer, import, now_s))
}
