//! Whether what accounts import is exported to them.

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

fn check_import(importer: &str, import: &Import, options: &Options) -> Result<(), String> {
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
    Ok(())
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
