//! What accounts share, from the configuration and from their claims.

use std::time::Duration;

use hub::{Access, Export, Import, Latency, ResponseKind, Sampling, ShareKind, Sharing};
use identity::jwt::{self, AccountClaims, ActivationClaims};
use settings::options;

/// What a configured account shares.
pub fn configured(account: &options::Account) -> Sharing {
    Sharing {
        exports: account.exports.iter().map(configured_export).collect(),
        imports: account.imports.iter().map(configured_import).collect(),
    }
}

fn configured_export(export: &options::Export) -> Export {
    let access = match (export.account_token_position, &export.accounts) {
        (Some(position), _) => Access::TokenPosition(position),
        (None, Some(names)) if !names.is_empty() => Access::Accounts(names.clone()),
        _ => Access::Public,
    };
    Export {
        kind: configured_kind(export.kind),
        subject: export.subject.clone(),
        access,
        responses: match export.response_type {
            options::ResponseType::Single => ResponseKind::Singleton,
            options::ResponseType::Stream => ResponseKind::Stream,
            options::ResponseType::Chunked => ResponseKind::Chunked,
        },
        response_threshold: export
            .response_threshold
            .unwrap_or(Export::RESPONSE_THRESHOLD),
        latency: export.latency.as_ref().map(|latency| Latency {
            sampling: match latency.sampling {
                options::Sampling::Percent(percent) => Sampling::Percent(percent),
                options::Sampling::Headers => Sampling::Headers,
            },
            subject: latency.subject.clone(),
        }),
    }
}

fn configured_import(import: &options::Import) -> Import {
    let local = match (&import.prefix, &import.to) {
        (Some(prefix), _) => Some(prefixed(prefix, &import.subject)),
        (None, to) => to.clone(),
    };
    Import {
        kind: configured_kind(import.kind),
        account: import.account.clone(),
        local: local.filter(|local| *local != import.subject),
        subject: import.subject.clone(),
        share: import.share,
        activation: None,
    }
}

fn configured_kind(kind: options::InterestKind) -> ShareKind {
    match kind {
        options::InterestKind::Stream => ShareKind::Stream,
        options::InterestKind::Service => ShareKind::Service,
    }
}

fn prefixed(prefix: &str, subject: &str) -> String {
    format!("{}.{subject}", prefix.trim_end_matches('.'))
}

/// What an account's claims let it share.
pub fn claimed(claims: &AccountClaims) -> Sharing {
    let exports = claims.body.exports.iter();
    let imports = claims.body.imports.iter();
    Sharing {
        exports: exports
            .map(|export| claimed_export(claims, export))
            .collect(),
        imports: imports
            .filter_map(|import| claimed_import(claims, import))
            .collect(),
    }
}

fn claimed_export(claims: &AccountClaims, export: &jwt::Export) -> Export {
    let access = match u32::try_from(export.account_token_position) {
        Ok(position @ 1..) => Access::TokenPosition(position),
        _ if export.token_req => Access::Activation {
            signers: claims.signers().map(str::to_owned).collect(),
            revocations: export.revocations.clone(),
        },
        _ => Access::Public,
    };
    let threshold = u64::try_from(export.response_threshold).ok();
    Export {
        kind: claimed_kind(export.r#type),
        subject: export.subject.clone(),
        access,
        responses: match export.response_type.to_ascii_lowercase().as_str() {
            "stream" => ResponseKind::Stream,
            "chunked" => ResponseKind::Chunked,
            _ => ResponseKind::Singleton,
        },
        response_threshold: threshold
            .filter(|nanoseconds| *nanoseconds > 0)
            .map_or(Export::RESPONSE_THRESHOLD, Duration::from_nanos),
        latency: export.service_latency.as_ref().map(|latency| Latency {
            sampling: match latency.sampling {
                jwt::Sampling::Percent(percent) => Sampling::Percent(percent),
                jwt::Sampling::Headers => Sampling::Headers,
            },
            subject: latency.results.clone(),
        }),
    }
}

/// An import, unless its proof is none.
fn claimed_import(claims: &AccountClaims, import: &jwt::Import) -> Option<Import> {
    let activation = match import.token.as_str() {
        "" => None,
        token => match ActivationClaims::decode(token) {
            Ok(activation) => Some(activation),
            Err(error) => {
                tracing::warn!(account = claims.subject, subject = import.subject, %error, "import is left out: its activation token cannot be read");
                return None;
            }
        },
    };
    let kind = claimed_kind(import.r#type);
    let older = Some(&import.to).filter(|to| !to.is_empty());
    let (subject, local) = match (kind, older) {
        _ if !import.local_subject.is_empty() => {
            (&import.subject, Some(import.local_subject.clone()))
        }
        (ShareKind::Stream, Some(prefix)) => {
            (&import.subject, Some(prefixed(prefix, &import.subject)))
        }
        // In the older notation a service's import names the importer's subject first.
        (ShareKind::Service, Some(to)) => (to, Some(import.subject.clone())),
        (_, None) => (&import.subject, None),
    };
    Some(Import {
        kind,
        account: import.account.clone(),
        local: local.filter(|local| local != subject),
        subject: subject.clone(),
        share: import.share,
        activation,
    })
}

fn claimed_kind(kind: jwt::ExportKind) -> ShareKind {
    match kind {
        jwt::ExportKind::Stream => ShareKind::Stream,
        jwt::ExportKind::Service => ShareKind::Service,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_notation_of_claims_means_the_same() {
        let mut claims = AccountClaims::new("A");
        let import = |kind, subject: &str, to: &str, local: &str| jwt::Import {
            r#type: kind,
            account: "B".to_owned(),
            subject: subject.to_owned(),
            to: to.to_owned(),
            local_subject: local.to_owned(),
            ..jwt::Import::default()
        };
        claims.body.imports = vec![
            import(jwt::ExportKind::Stream, "ev.>", "from.b", ""),
            import(jwt::ExportKind::Stream, "ev.>", "", "from.b.ev.>"),
            import(jwt::ExportKind::Service, "local", "req", ""),
            import(jwt::ExportKind::Service, "req", "", "local"),
            import(jwt::ExportKind::Service, "req", "", ""),
        ];
        let sharing = claimed(&claims);
        let named: Vec<_> = sharing
            .imports
            .iter()
            .map(|import| (import.subject.as_str(), import.local.as_deref()))
            .collect();
        assert_eq!(
            named,
            [
                ("ev.>", Some("from.b.ev.>")),
                ("ev.>", Some("from.b.ev.>")),
                ("req", Some("local")),
                ("req", Some("local")),
                ("req", None),
            ]
        );
    }

    #[test]
    fn an_import_whose_proof_cannot_be_read_is_left_out() {
        let mut claims = AccountClaims::new("A");
        claims.body.imports = vec![jwt::Import {
            subject: "req".to_owned(),
            token: "no token".to_owned(),
            ..jwt::Import::default()
        }];
        assert_eq!(claimed(&claims).imports, []);
    }
}
