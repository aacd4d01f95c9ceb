//! Answers requests.

use monitor::options::{
    AccountStatzOptions, AccountzOptions, ConnzOptions, HealthzOptions, JszOptions, RoutezOptions,
    SubszOptions,
};
use monitor::safez::{self, SafezOptions};
use monitor::statsz::{self, ServerInfo};
use monitor::{Sources, accountz, connz, expvarz, healthz, jsz, routez, subsz, unserved, varz};
use wire::CloseReason;

use super::envelope::{self, BAD_REQUEST, FAILED};
use super::request::{Asked, Filter, OfAccount, OfServer, OneConnection, Order, options};
use super::{Request, Shared, user};

/// The account name of a request about all accounts.
const ALL_ACCOUNTS: &str = "PING";

/// The answer; `None` if the request is not for this server.
pub(super) async fn answer(shared: &Shared, request: &Request) -> Option<Vec<u8>> {
    let sources = &*shared.sources;
    let server = statsz::server_info(sources);
    let filter: Filter = match options(&request.body) {
        Ok(filter) => filter,
        Err(error) => return Some(envelope::done(&server, Some((BAD_REQUEST, error)))),
    };
    if !filter.accepts(&server) {
        return None;
    }
    let answer = match request.asked {
        Asked::Server(service) => of_server(sources, &server, service, &request.body).await,
        Asked::Order(order) => Ok(Some(carry_out(shared, &server, order, &request.body))),
        Asked::Account(service) | Asked::OwnAccount(service) => {
            of_account(sources, &server, (service, &request.about), &request.body)
        }
        Asked::User => Ok(user::info(shared, request).map(|info| envelope::data(&server, info))),
    };
    answer.unwrap_or_else(|error| Some(envelope::done(&server, Some((BAD_REQUEST, error)))))
}

/// `Err` if the options cannot be read.
type Answer = Result<Option<Vec<u8>>, String>;

async fn of_server(sources: &Sources, server: &ServerInfo, asked: OfServer, body: &[u8]) -> Answer {
    Ok(Some(match asked {
        OfServer::Idz => envelope::identity(server),
        OfServer::Statsz => envelope::statistics(server, sources),
        OfServer::Varz => envelope::data(server, varz::varz(sources)),
        OfServer::Subsz => {
            let options: SubszOptions = options(body)?;
            envelope::result(server, subsz::subsz(sources, &options))
        }
        OfServer::Connz => {
            let options: ConnzOptions = options(body)?;
            envelope::result(server, connz::connz(sources, &options))
        }
        OfServer::Routez => {
            let options: RoutezOptions = options(body)?;
            envelope::data(server, routez::routez(sources, &options))
        }
        OfServer::Gatewayz => envelope::data(server, unserved::gatewayz(sources)),
        OfServer::Leafz => envelope::data(server, unserved::leafz(sources)),
        OfServer::Accountz => {
            let options: AccountzOptions = options(body)?;
            envelope::result(server, accountz::accountz(sources, &options))
        }
        OfServer::Jsz => {
            let options: JszOptions = options(body)?;
            if !jsz::is_asked(sources, &options) {
                return Ok(None);
            }
            envelope::result(server, jsz::jsz(sources, &options))
        }
        OfServer::Healthz => {
            let options: HealthzOptions = options(body)?;
            envelope::data(server, healthz::healthz(sources, &options))
        }
        OfServer::Safez => {
            let options: SafezOptions = options(body)?;
            let page = safez::safez(sources, &options).await;
            let unknown = || format!("the cluster has no server {:?}", options.server);
            envelope::result(server, page.ok_or_else(unknown))
        }
        OfServer::Expvarz => envelope::data(server, expvarz::expvarz(sources)),
    }))
}

fn of_account(
    sources: &Sources,
    server: &ServerInfo,
    (asked, name): (OfAccount, &str),
    body: &[u8],
) -> Answer {
    let name = name.to_owned();
    Ok(Some(match asked {
        OfAccount::Statz => return statistics(sources, server, &name, body),
        _ if name == ALL_ACCOUNTS => return Ok(None),
        OfAccount::Subsz => {
            let mut options: SubszOptions = options(body)?;
            options.account = name;
            options.subscriptions = true;
            envelope::result(server, subsz::subsz(sources, &options))
        }
        OfAccount::Connz => {
            let mut options: ConnzOptions = options(body)?;
            options.acc = name;
            envelope::result(server, connz::connz(sources, &options))
        }
        OfAccount::Leafz => envelope::data(server, unserved::leafz(sources)),
        OfAccount::Jsz => {
            let options: JszOptions = options(body)?;
            if !jsz::is_asked(sources, &options) {
                return Ok(None);
            }
            envelope::result(server, jsz::account_detail(sources, &name, &options))
        }
        OfAccount::Info => envelope::result(server, accountz::account_info(sources, &name)),
        OfAccount::Conns => match accountz::account_stat(sources, &name) {
            Some(stat) => envelope::account_connections(server, stat),
            None => return Ok(None),
        },
    }))
}

/// What moved in one account, or in those the body names. A server that has nothing to tell says
/// nothing.
fn statistics(sources: &Sources, server: &ServerInfo, name: &str, body: &[u8]) -> Answer {
    let mut options: AccountStatzOptions = options(body)?;
    if name != ALL_ACCOUNTS {
        options.accounts = vec![name.to_owned()];
    }
    let statistics = accountz::account_statz(sources, &options);
    if statistics.account_statz.is_empty() && !options.include_unused {
        return Ok(None);
    }
    Ok(Some(envelope::data(server, statistics)))
}

fn carry_out(shared: &Shared, server: &ServerInfo, order: Order, body: &[u8]) -> Vec<u8> {
    let outcome = match order {
        Order::Reload => (shared.reload)().map_err(|reason| (FAILED, reason)),
        Order::LameDuck => Err((
            FAILED,
            "lame duck mode of one client is not served by this version".to_owned(),
        )),
        Order::Kick => kick(shared, body),
    };
    envelope::done(server, outcome.err())
}

fn kick(shared: &Shared, body: &[u8]) -> Result<(), (u16, String)> {
    let connection: OneConnection = options(body).map_err(|error| (BAD_REQUEST, error))?;
    match shared.hub.kick(connection.cid, CloseReason::Kicked) {
        true => Ok(()),
        false => Err((FAILED, "no such client or leafnode id".to_owned())),
    }
}
