//! Clients, accounts and routes.

use hub::AccountSnapshot;

use super::definitions::*;
use super::sheet::Sheet;
use super::{MAX_ACCOUNTS, OTHER};
use crate::Sources;

pub(super) fn fill(sources: &Sources, sheet: &mut Sheet) {
    let totals = sources.hub.totals();
    sheet.count(&CONNECTIONS, &[], totals.connections as u64);
    sheet.count(&CONNECTIONS_TOTAL, &[], totals.total_connections);
    sheet.count(&SUBSCRIPTIONS, &[], totals.subscriptions as u64);
    sheet.count(&RECEIVED_MESSAGES, &[], totals.in_messages);
    sheet.count(&RECEIVED_BYTES, &[], totals.in_bytes);
    sheet.count(&SENT_MESSAGES, &[], totals.out_messages);
    sheet.count(&SENT_BYTES, &[], totals.out_bytes);
    sheet.count(&SLOW_CONSUMERS, &[], totals.slow_consumers);
    sheet.count(&STALE_CONNECTIONS, &[], totals.stale_connections);
    sheet.count(&PANICS, &[], totals.panics);
    for account in capped(sources.hub.account_snapshots(), MAX_ACCOUNTS) {
        fill_account(&account, sheet);
    }
    for route in sources.hub.route_snapshots() {
        let remote = [route.remote_name.as_str()];
        sheet.put(&ROUTE_UP, &remote, 1.0);
        sheet.count(&ROUTE_PENDING, &remote, route.pending_bytes as u64);
        if let Some(rtt) = route.rtt {
            sheet.put(&ROUTE_RTT, &remote, rtt.as_secs_f64());
        }
        sheet.count(&ROUTE_RECEIVED_MESSAGES, &remote, route.in_messages);
        sheet.count(&ROUTE_RECEIVED_BYTES, &remote, route.in_bytes);
        sheet.count(&ROUTE_SENT_MESSAGES, &remote, route.out_messages);
        sheet.count(&ROUTE_SENT_BYTES, &remote, route.out_bytes);
    }
}

fn fill_account(account: &AccountSnapshot, sheet: &mut Sheet) {
    let name = [account.name.as_str()];
    sheet.count(&ACCOUNT_CONNECTIONS, &name, account.connections as u64);
    sheet.count(&ACCOUNT_SUBSCRIPTIONS, &name, account.subscriptions as u64);
    sheet.count(&ACCOUNT_RECEIVED_MESSAGES, &name, account.in_messages);
    sheet.count(&ACCOUNT_RECEIVED_BYTES, &name, account.in_bytes);
    sheet.count(&ACCOUNT_SENT_MESSAGES, &name, account.out_messages);
    sheet.count(&ACCOUNT_SENT_BYTES, &name, account.out_bytes);
    sheet.count(&ACCOUNT_SLOW_CONSUMERS, &name, account.slow_consumers);
}

/// The first `max` accounts, and the rest as one.
fn capped(mut accounts: Vec<AccountSnapshot>, max: usize) -> Vec<AccountSnapshot> {
    if accounts.len() <= max {
        return accounts;
    }
    let mut other = AccountSnapshot {
        name: OTHER.to_owned(),
        ..AccountSnapshot::default()
    };
    for account in accounts.drain(max..) {
        other.connections += account.connections;
        other.subscriptions += account.subscriptions;
        other.in_messages += account.in_messages;
        other.in_bytes += account.in_bytes;
        other.out_messages += account.out_messages;
        other.out_bytes += account.out_bytes;
        other.slow_consumers += account.slow_consumers;
    }
    accounts.push(other);
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_beyond_the_limit_are_summed() {
        let account = |name: &str, connections| AccountSnapshot {
            name: name.to_owned(),
            connections,
            in_bytes: 10,
            ..AccountSnapshot::default()
        };
        let all = vec![
            account("A", 1),
            account("B", 2),
            account("C", 3),
            account("D", 4),
        ];
        let shown = capped(all.clone(), 2);
        let names: Vec<_> = shown.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["A", "B", OTHER]);
        assert_eq!((shown[2].connections, shown[2].in_bytes), (7, 20));
        assert_eq!(capped(all, 4).len(), 4);
    }
}
