//! Whether what accounts import is exported to them.

use std::collections::BTreeSet;

use super::{Reader, subject};
use crate::Position;
use crate::options::{Account, Export, Import, InterestKind, Options};

/// An export or import and where it was written.
pub struct Shared {
    pub account: String,
    pub position: Position,
    pub item: Item,
}

pub enum Item {
    Export(Export),
    Import(Import),
}

pub fn check(reader: &mut Reader<'_>, options: &Options) {
    for shared in std::mem::take(&mut reader.shared) {
        let result = match &shared.item {
            Item::Export(export) => check_export(export, options),
            Item::Import(import) => check_import(&shared.account, import, options),
        };
        if let Err(reason) = result {
            reader.problem(&shared.position, reason);
        }
    }
}

fn kind_name(kind: InterestKind) -> &'static str {
    match kind {
        InterestKind::Stream => "stream",
        InterestKind::Service => "service",
    }
}

fn account<'o>(name: &str, options: &'o Options) -> Option<&'o Account> {
    options.accounts.iter().find(|account| account.name == name)
}

fn check_export(export: &Export, options: &Options) -> Result<(), String> {
    let kind = kind_name(export.kind);
    for name in export.accounts.iter().flatten() {
        if account(name, options).is_none() {
            return Err(format!("{name:?} account not defined for {kind} export"));
        }
    }
    if export.latency.is_some() && options.no_system_account {
        let reason = "system account not setup";
        return Err(format!(
            "Error adding service latency sampling for {:?}: {reason}",
            export.subject
        ));
    }
    Ok(())
}

fn check_import<'o>(
    importer: &'o str,
    import: &Import,
    options: &'o Options,
) -> Result<(), String> {
    let kind = kind_name(import.kind);
    let Some(exporter) = account(&import.account, options) else {
        return Err(format!(
            "{:?} account not defined for {kind} import",
            import.account
        ));
    };
    let is_allowed = exporter.exports.iter().any(|export| {
        export.kind == import.kind
            && subject::covers(&export.subject, &import.subject)
            && is_for(export, importer, &import.subject)
    });
    if !is_allowed {
        return Err(format!(
            "Error adding {kind} import {:?}: {kind} import not authorized",
            import.subject
        ));
    }
    // An account may import what it exports itself, under the same name even.
    if exporter.name == importer {
        return Ok(());
    }
    let mut visited = BTreeSet::from([importer]);
    if is_cycle(
        exporter,
        import.kind,
        &import.subject,
        &mut visited,
        options,
    ) {
        return Err(format!(
            "Error adding {kind} import {:?}: import forms a cycle",
            import.subject
        ));
    }
    Ok(())
}

/// Whether what is taken from `exporter` comes, through its own imports, from an account that is
/// waiting for it. Every account is visited once at most, so this ends.
fn is_cycle<'o>(
    exporter: &'o Account,
    kind: InterestKind,
    subject: &str,
    visited: &mut BTreeSet<&'o str>,
    options: &'o Options,
) -> bool {
    if !visited.insert(&exporter.name) {
        return true;
    }
    let mut imports = exporter.imports.iter().filter(|import| import.kind == kind);
    let found = imports.any(|import| {
        let local = local_subject(import);
        // Unless the import renames it, only what is looked for goes on to the next account.
        let is_renamed = import.prefix.is_some() || import.to.is_some();
        let next_subject = if !is_renamed && subject::covers(&local, subject) {
            subject
        } else {
            &import.subject
        };
        subject::overlap(&local, subject)
            && account(&import.account, options)
                .is_some_and(|next| is_cycle(next, kind, next_subject, visited, options))
    });
    visited.remove(exporter.name.as_str());
    found
}

/// Where an import appears in the account that imports it.
fn local_subject(import: &Import) -> String {
    match (&import.prefix, &import.to) {
        (Some(prefix), _) => format!("{prefix}.{}", import.subject),
        // Mapped tokens can be anything.
        (None, Some(to)) => to
            .split('.')
            .map(|token| {
                if token.starts_with('$') || token.contains("{{") {
                    "*"
                } else {
                    token
                }
            })
            .collect::<Vec<_>>()
            .join("."),
        (None, None) => import.subject.clone(),
    }
}

/// Whether an export is for this account: public, naming it, or holding its name in the subject.
fn is_for(export: &Export, importer: &str, subject: &str) -> bool {
    if let Some(position) = export.account_token_position {
        let index = usize::try_from(position).unwrap_or(usize::MAX);
        return subject.split('.').nth(index.saturating_sub(1)) == Some(importer);
    }
    match &export.accounts {
        Some(accounts) if !accounts.is_empty() => accounts.iter().any(|name| name == importer),
        _ => true,
    }
}
