//! What accounts share: streams of messages and services, by export and import.
//!
//! - `sharing` (here): what is exported and imported, and whether an import is allowed.
//! - [`links`]: allowed imports at run time, made anew whenever either side changes.
//! - [`shadows`]: subscriptions to imported streams, entered in the exporting account.
//! - [`service`]: a request on its way into the exporting account.
//! - [`responses`]: answers on their way back.
//! - [`latency`]: how long services take.
//! - [`who`]: what services are told about who asks.
//!
//! Everything is decided when a subscription is made or a definition changes: accounts that share
//! nothing pay nothing per message.

mod latency;
mod links;
pub(crate) mod responses;
mod service;
pub(crate) mod shadows;
mod who;

use std::time::Duration;

use identity::jwt::{ActivationClaims, Revocations};

pub(crate) use links::{Definitions, Links};
pub(crate) use service::{ServiceLink, deliver as request};
pub(crate) use shadows::{Shadow, Shadows, deliver as to_importer};
pub use who::ClientInfo;

/// What one account exports and imports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sharing {
    pub exports: Vec<Export>,
    pub imports: Vec<Import>,
}

/// Whether messages flow from the exporter, or requests to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareKind {
    Stream,
    Service,
}

/// Subjects other accounts may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    pub kind: ShareKind,
    pub subject: String,
    pub access: Access,
    pub responses: ResponseKind,
    /// How long an answer, or the next part of one, may take.
    pub response_threshold: Duration,
    pub latency: Option<Latency>,
}

/// Who may import.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    Public,
    Accounts(Vec<String>),
    /// This token of the subject, counted from 1, must be the importing account.
    TokenPosition(u32),
    /// Who shows a token that one of these keys signed and that is not revoked.
    Activation {
        signers: Vec<String>,
        revocations: Revocations,
    },
}

/// How many messages answer one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseKind {
    #[default]
    Singleton,
    /// Any number; an empty message is the last.
    Stream,
    /// One answer in parts; an empty message is the last.
    Chunked,
}

/// Which requests are measured, and where the result is published in the exporting account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    pub sampling: Sampling,
    pub subject: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    Percent(u8),
    /// Requests whose headers ask for a trace.
    Headers,
}

/// Subjects of another account that an account uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    pub kind: ShareKind,
    /// The exporting account.
    pub account: String,
    /// As the exporting account names them.
    pub subject: String,
    /// As the importing account names them, if it does otherwise; see [`subject::Renaming`].
    pub local: Option<String>,
    /// The exporter may see who asks.
    pub share: bool,
    /// Proof that a private export may be imported, with its signature checked already.
    pub activation: Option<ActivationClaims>,
}

impl Export {
    /// How long an answer may take unless the export says otherwise.
    pub const RESPONSE_THRESHOLD: Duration = Duration::from_secs(120);

    /// Whether `importer` may use `import`, which names this export's account, at this time (Unix
    /// seconds).
    pub fn allows(&self, importer: &str, import: &Import, now_s: i64) -> bool {
        self.kind == import.kind
            && subject::is_subset(import.subject.as_bytes(), self.subject.as_bytes())
            && self.access.allows(importer, import, now_s)
    }
}

impl Access {
    fn allows(&self, importer: &str, import: &Import, now_s: i64) -> bool {
        match self {
            Access::Public => true,
            Access::Accounts(names) => names.iter().any(|name| name == importer),
            Access::TokenPosition(position) => {
                let index = (*position as usize).checked_sub(1);
                let token = index.and_then(|index| import.subject.split('.').nth(index));
                token == Some(importer)
            }
            Access::Activation {
                signers,
                revocations,
            } => import.activation.as_ref().is_some_and(|proof| {
                signers.contains(&proof.issuer)
                    && proof.subject == importer
                    && proof.is_valid_at(now_s)
                    && !revocations.covers(importer, proof.issued_at_s)
                    && subject::is_subset(
                        import.subject.as_bytes(),
                        proof.body.import_subject.as_bytes(),
                    )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(subject: &str, access: Access) -> Export {
        Export {
            kind: ShareKind::Service,
            subject: subject.to_owned(),
            access,
            responses: ResponseKind::Singleton,
            response_threshold: Export::RESPONSE_THRESHOLD,
            latency: None,
        }
    }

    fn import(subject: &str) -> Import {
        Import {
            kind: ShareKind::Service,
            account: "B".to_owned(),
            subject: subject.to_owned(),
            local: None,
            share: false,
            activation: None,
        }
    }

    #[test]
    fn an_import_is_part_of_an_export_of_its_kind() {
        let export = export("req.*", Access::Public);
        assert!(export.allows("A", &import("req.a"), 0));
        assert!(export.allows("A", &import("req.*"), 0));
        assert!(!export.allows("A", &import("req.>"), 0));
        let stream = Import {
            kind: ShareKind::Stream,
            ..import("req.a")
        };
        assert!(!export.allows("A", &stream, 0));
    }

    #[test]
    fn private_exports_are_for_the_named() {
        let listed = export("req", Access::Accounts(vec!["A".to_owned()]));
        assert!(listed.allows("A", &import("req"), 0));
        assert!(!listed.allows("C", &import("req"), 0));
        let by_token = export("req.*.x", Access::TokenPosition(2));
        assert!(by_token.allows("A", &import("req.A.x"), 0));
        assert!(!by_token.allows("A", &import("req.C.x"), 0));
        assert!(!by_token.allows("A", &import("req.*.x"), 0));
    }

    #[test]
    fn an_activation_proves_what_it_says_until_it_ends() {
        let access = |revoked: Option<i64>| Access::Activation {
            signers: vec!["KEY".to_owned()],
            revocations: Revocations(revoked.map(|at| ("A".to_owned(), at)).into_iter().collect()),
        };
        let mut claims = ActivationClaims::new("A");
        claims.issuer = "KEY".to_owned();
        claims.issued_at_s = 10;
        claims.expires_at_s = Some(100);
        claims.body.import_subject = "req.>".to_owned();
        let with_proof = Import {
            activation: Some(claims.clone()),
            ..import("req.a")
        };
        let open = export("req.*", access(None));
        assert!(open.allows("A", &with_proof, 50));
        assert!(!open.allows("A", &import("req.a"), 50));
        assert!(!open.allows("C", &with_proof, 50));
        assert!(!open.allows("A", &with_proof, 101));
        assert!(!export("req.*", access(Some(10))).allows("A", &with_proof, 50));
        assert!(export("req.*", access(Some(9))).allows("A", &with_proof, 50));
        claims.issuer = "STRANGER".to_owned();
        let forged = Import {
            activation: Some(claims),
            ..import("req.a")
        };
        assert!(!open.allows("A", &forged, 50));
    }
}
