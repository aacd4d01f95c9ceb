//! What an account shares with others, and how it maps subjects.

use std::collections::BTreeMap;

use hub::{Access, Export, Hub, Import, Latency, ResponseKind, Sampling, ShareKind};
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Serialize)]
pub struct MappedTo {
    pub subject: String,
    /// Percent.
    pub weight: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ExportInfo {
    pub subject: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub token_req: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_latency: Option<LatencyInfo>,
    #[serde(skip_serializing_if = "is_zero")]
    pub account_token_position: u32,
    /// Accounts the export is for, if it is not for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_accounts: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct LatencyInfo {
    /// Percent, or `headers`.
    pub sampling: Value,
    pub results: String,
}

#[derive(Debug, Serialize)]
pub struct ImportInfo {
    pub subject: String,
    pub account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub local_subject: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// No export allows it.
    pub invalid: bool,
    pub share: bool,
    pub tracking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyInfo>,
}

impl From<&Latency> for LatencyInfo {
    fn from(latency: &Latency) -> LatencyInfo {
        LatencyInfo {
            sampling: match latency.sampling {
                Sampling::Percent(percent) => percent.into(),
                Sampling::Headers => "headers".into(),
            },
            results: latency.subject.clone(),
        }
    }
}

impl From<&Export> for ExportInfo {
    fn from(export: &Export) -> ExportInfo {
        let is_service = export.kind == ShareKind::Service;
        ExportInfo {
            subject: export.subject.clone(),
            kind: kind_name(export.kind),
            token_req: matches!(export.access, Access::Activation { .. }),
            response_type: is_service.then_some(match export.responses {
                ResponseKind::Singleton => "Singleton",
                ResponseKind::Stream => "Stream",
                ResponseKind::Chunked => "Chunked",
            }),
            service_latency: export.latency.as_ref().map(LatencyInfo::from),
            account_token_position: match export.access {
                Access::TokenPosition(position) => position,
                _ => 0,
            },
            approved_accounts: match &export.access {
                Access::Accounts(names) => names.clone(),
                _ => Vec::new(),
            },
        }
    }
}

pub(super) fn mappings(hub: &Hub, account: &str) -> BTreeMap<String, Vec<MappedTo>> {
    let Some(account) = hub.existing_account(account) else {
        return BTreeMap::new();
    };
    let shown = account.mappings().into_iter().map(|mapping| {
        let destinations = mapping.destinations.into_iter().map(|to| MappedTo {
            subject: to.subject,
            weight: to.weight_percent,
            cluster: to.cluster,
        });
        (mapping.source, destinations.collect())
    });
    shown.collect()
}

pub(super) fn imports(hub: &Hub, account: &str, imports: &[Import]) -> Vec<ImportInfo> {
    let shown = imports.iter().map(|import| {
        let local = import.local.as_ref().unwrap_or(&import.subject);
        let export = hub.export_behind(account, import);
        let latency = export.as_ref().and_then(|export| export.latency.as_ref());
        ImportInfo {
            subject: import.subject.clone(),
            account: import.account.clone(),
            to: (import.kind == ShareKind::Service).then(|| local.clone()),
            local_subject: local.clone(),
            kind: kind_name(import.kind),
            invalid: export.is_none(),
            share: import.share,
            tracking: false,
            latency: latency.map(LatencyInfo::from),
        }
    });
    shown.collect()
}

fn kind_name(kind: ShareKind) -> &'static str {
    match kind {
        ShareKind::Stream => "stream",
        ShareKind::Service => "service",
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
