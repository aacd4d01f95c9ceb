//! `accountz` and `accstatz`: the accounts of this server.

mod shared;

use std::collections::BTreeMap;

use hub::AccountSnapshot;
use jetstream::timestamp::Timestamp;
use serde::Serialize;

use crate::options::{AccountStatzOptions, AccountzOptions};
use crate::query::BadRequest;
use crate::subsz::SublistStats;
use crate::{Sources, text};
pub use shared::{ExportInfo, ImportInfo, MappedTo};

#[derive(Debug, Serialize)]
pub struct Accountz {
    pub server_id: String,
    pub now: Timestamp,
    pub system_account: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_detail: Option<AccountInfo>,
}

#[derive(Debug, Serialize)]
pub struct AccountInfo {
    pub account_name: String,
    pub update_time: Timestamp,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_system: bool,
    pub expired: bool,
    pub complete: bool,
    pub jetstream_enabled: bool,
    pub leafnode_connections: usize,
    pub client_connections: usize,
    pub subscriptions: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mappings: BTreeMap<String, Vec<MappedTo>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportInfo>,
    pub name_tag: String,
    pub sublist_stats: SublistStats,
}

pub fn accountz(sources: &Sources, options: &AccountzOptions) -> Result<Accountz, BadRequest> {
    let hub = &sources.hub;
    let (accounts, account_detail) = match options.account.as_str() {
        "" => {
            let accounts = hub.accounts();
            (
                accounts
                    .iter()
                    .map(|account| account.name().to_owned())
                    .collect(),
                None,
            )
        }
        name => (Vec::new(), Some(account_info(sources, name)?)),
    };
    Ok(Accountz {
        server_id: hub.options().server.server_id.clone(),
        now: text::now(),
        system_account: hub.options().system_account.clone(),
        accounts,
        account_detail,
    })
}

/// Details of one account.
pub fn account_info(sources: &Sources, name: &str) -> Result<AccountInfo, BadRequest> {
    let hub = &sources.hub;
    let mut all = hub.account_snapshots().into_iter();
    let Some(snapshot) = all.find(|snapshot| snapshot.name == name) else {
        return Err(BadRequest::new(format!("Account {name} does not exist")));
    };
    let engine = sources.engine.as_ref();
    let sharing = hub.sharing(name);
    Ok(AccountInfo {
        account_name: name.to_owned(),
        update_time: text::timestamp(sources.facts().config_load_time),
        is_system: name == hub.options().system_account,
        expired: false,
        complete: true,
        jetstream_enabled: engine.is_some_and(|engine| engine.account_limits(name).is_some()),
        leafnode_connections: 0,
        client_connections: snapshot.connections,
        subscriptions: snapshot.subscriptions,
        mappings: shared::mappings(hub, name),
        exports: sharing.exports.iter().map(ExportInfo::from).collect(),
        imports: shared::imports(hub, name, &sharing.imports),
        name_tag: snapshot.tag,
        sublist_stats: SublistStats::new(snapshot.subscriptions),
    })
}

#[derive(Debug, Serialize)]
pub struct AccountStatz {
    pub server_id: String,
    pub now: Timestamp,
    pub account_statz: Vec<AccountStat>,
}

#[derive(Debug, Serialize)]
pub struct AccountStat {
    pub acc: String,
    pub name: String,
    pub conns: usize,
    pub leafnodes: usize,
    pub total_conns: usize,
    pub num_subscriptions: usize,
    pub sent: DataStats,
    pub received: DataStats,
    pub slow_consumers: u64,
}

/// Messages and bytes, and how much of both went over links between servers.
#[derive(Debug, Default, Serialize)]
pub struct DataStats {
    pub msgs: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateways: Option<MsgBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<MsgBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leafs: Option<MsgBytes>,
}

#[derive(Debug, Default, Serialize)]
pub struct MsgBytes {
    pub msgs: u64,
    pub bytes: u64,
}

impl DataStats {
    pub fn new(msgs: u64, bytes: u64) -> DataStats {
        DataStats {
            msgs,
            bytes,
            ..DataStats::default()
        }
    }

    fn of_account(msgs: u64, bytes: u64) -> DataStats {
        DataStats {
            gateways: Some(MsgBytes::default()),
            routes: Some(MsgBytes::default()),
            leafs: Some(MsgBytes::default()),
            ..DataStats::new(msgs, bytes)
        }
    }
}

impl From<AccountSnapshot> for AccountStat {
    fn from(snapshot: AccountSnapshot) -> AccountStat {
        AccountStat {
            acc: snapshot.name,
            name: snapshot.tag,
            conns: snapshot.connections,
            leafnodes: 0,
            total_conns: snapshot.connections,
            num_subscriptions: snapshot.subscriptions,
            sent: DataStats::of_account(snapshot.out_messages, snapshot.out_bytes),
            received: DataStats::of_account(snapshot.in_messages, snapshot.in_bytes),
            slow_consumers: snapshot.slow_consumers,
        }
    }
}

/// What moved in the accounts. Accounts nobody is connected to are left out unless asked for.
pub fn account_statz(sources: &Sources, options: &AccountStatzOptions) -> AccountStatz {
    let wanted = |snapshot: &AccountSnapshot| {
        let named = options.accounts.is_empty() || options.accounts.contains(&snapshot.name);
        named && (options.include_unused || snapshot.connections > 0)
    };
    let snapshots = sources.hub.account_snapshots().into_iter();
    AccountStatz {
        server_id: sources.hub.options().server.server_id.clone(),
        now: text::now(),
        account_statz: snapshots.filter(wanted).map(AccountStat::from).collect(),
    }
}

/// What moved in one account.
pub fn account_stat(sources: &Sources, name: &str) -> Option<AccountStat> {
    let mut snapshots = sources.hub.account_snapshots().into_iter();
    snapshots
        .find(|snapshot| snapshot.name == name)
        .map(AccountStat::from)
}
