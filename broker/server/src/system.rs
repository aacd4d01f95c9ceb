//! The services of the system account: servers tell about themselves on `$SYS.REQ.…`.
//!
//! Every server hears every request for "all servers" and answers for itself. Handlers only queue;
//! one task answers, one request after the other, but for answers that wait for other servers. Requests of ordinary accounts reach the same
//! task, which tells them about their own account only.

mod answer;
mod envelope;
mod events;
mod request;
mod user;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hub::{Account, Delivery, Hub, Origin, Publish, SubscriptionId};
use monitor::Sources;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use request::{Asked, OfAccount, OfServer};

/// Requests that wait for an answer; more are dropped.
const MAX_WAITING: usize = 1024;
/// Answers that wait for other servers at the same time; who gets none asks again.
const MAX_SLOW: usize = 16;
/// How often accounts are looked for that have no services yet.
const ACCOUNTS_INTERVAL: Duration = Duration::from_secs(1);

/// Answers `$SYS.REQ.…` and sends `$SYS.SERVER.…` events until it is dropped.
pub struct SystemServices {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What handlers and tasks have in common.
struct Shared {
    hub: Arc<Hub>,
    sources: Arc<Sources>,
    system: Arc<Account>,
    waiting: mpsc::Sender<Request>,
    reload: Reload,
    /// Subscriptions by account.
    subscriptions: Mutex<BTreeMap<String, Vec<SubscriptionId>>>,
}

/// See [`start`].
pub type Reload = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A request that waits for its answer.
struct Request {
    asked: Asked,
    /// The account it is about.
    about: String,
    /// Where it came from, which is where the answer goes.
    account: Arc<Account>,
    origin: Origin,
    reply: Bytes,
    body: Bytes,
}

/// Starts the services in the system account. Must be called inside a tokio runtime.
/// `reload` reads the configuration again, and says why if that fails.
pub fn start(
    sources: Arc<Sources>,
    hub: &Arc<Hub>,
    system_account: &str,
    reload: Reload,
) -> SystemServices {
    let (waiting, requests) = mpsc::channel(MAX_WAITING);
    let shared = Arc::new(Shared {
        hub: hub.clone(),
        sources,
        system: hub.account(system_account),
        waiting,
        reload,
        subscriptions: Mutex::default(),
    });
    shared.serve_system();
    shared.serve_accounts();
    let tasks = vec![
        tokio::spawn(answer_all(shared.clone(), requests)),
        tokio::spawn(follow_accounts(shared.clone())),
        tokio::spawn(events::tell_statistics(shared.clone())),
        tokio::spawn(events::tell_changes(shared.clone())),
        tokio::spawn(events::tell_connections(shared.clone())),
    ];
    SystemServices { shared, tasks }
}

impl SystemServices {
    /// Tells the cluster that this server is about to stop serving.
    pub fn announce_lame_duck(&self) {
        events::tell(&self.shared, "LAMEDUCK");
    }

    /// Tells the cluster that this server stops now.
    pub fn announce_shutdown(&self) {
        events::tell(&self.shared, "SHUTDOWN");
    }
}

impl Drop for SystemServices {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for id in std::mem::take(&mut *self.shared.subscriptions.lock())
            .into_values()
            .flatten()
        {
            self.shared.hub.unsubscribe(id);
        }
    }
}

impl Shared {
    /// Services for the system account's users: everything about every server and account.
    fn serve_system(self: &Arc<Self>) {
        let id = &self.hub.options().server.server_id;
        let mut ids = Vec::new();
        for (name, service) in OfServer::ALL {
            let asked = Asked::Server(*service);
            for whom in ["PING", id.as_str()] {
                ids.push(self.listen(&format!("$SYS.REQ.SERVER.{whom}.{name}"), asked));
            }
        }
        ids.push(self.listen("$SYS.REQ.SERVER.PING", Asked::Server(OfServer::Statsz)));
        for (name, order) in request::Order::ALL {
            let subject = format!("$SYS.REQ.SERVER.{id}.{name}");
            ids.push(self.listen(&subject, Asked::Order(*order)));
        }
        for (name, service) in OfAccount::ALL {
            let asked = Asked::Account(*service);
            ids.push(self.listen(&format!("$SYS.REQ.ACCOUNT.*.{name}"), asked));
        }
        ids.push(self.listen_local(self.system.name(), "$SYS.REQ.USER.INFO", Asked::User));
        self.subscriptions
            .lock()
            .insert(self.system.name().to_owned(), ids);
    }

    /// Services for the users of every other account: about themselves and their account.
    fn serve_accounts(self: &Arc<Self>) {
        for account in self.hub.accounts() {
            let name = account.name();
            if self.subscriptions.lock().contains_key(name) {
                continue;
            }
            let own = |service| Asked::OwnAccount(service);
            let ids = vec![
                self.listen_local(name, "$SYS.REQ.USER.INFO", Asked::User),
                self.listen_in(name, "$SYS.REQ.ACCOUNT.PING.CONNZ", own(OfAccount::Connz)),
                self.listen_in(name, "$SYS.REQ.SERVER.PING.CONNZ", own(OfAccount::Connz)),
                self.listen_in(name, "$SYS.REQ.ACCOUNT.PING.STATZ", own(OfAccount::Statz)),
            ];
            self.subscriptions.lock().insert(name.to_owned(), ids);
        }
    }

    fn listen(self: &Arc<Self>, subject: &str, asked: Asked) -> SubscriptionId {
        self.listen_in(self.system.name(), subject, asked)
    }

    fn listen_in(self: &Arc<Self>, account: &str, subject: &str, asked: Asked) -> SubscriptionId {
        self.hub
            .subscribe(account, subject, None, self.handler(asked))
    }

    /// Hears only the users of this server.
    fn listen_local(
        self: &Arc<Self>,
        account: &str,
        subject: &str,
        asked: Asked,
    ) -> SubscriptionId {
        self.hub
            .subscribe_local(account, subject, None, self.handler(asked))
    }

    fn handler(self: &Arc<Self>, asked: Asked) -> Arc<dyn hub::Handler> {
        let waiting = self.waiting.clone();
        Arc::new(move |delivery: &Delivery<'_>| {
            if delivery.reply.is_empty() && !asked.is_order() {
                return;
            }
            let request = Request {
                asked,
                about: asked.about(delivery.subject, delivery.account.name()),
                account: delivery.account.clone(),
                origin: delivery.origin,
                reply: Bytes::copy_from_slice(delivery.reply),
                body: Bytes::copy_from_slice(delivery.payload()),
            };
            // Who gets no answer asks again.
            if waiting.try_send(request).is_err() {
                tracing::debug!("too many system requests wait, one is dropped");
            }
        })
    }

    fn publish(&self, account: &Arc<Account>, subject: &[u8], payload: &[u8]) {
        let publish = Publish {
            subject,
            payload,
            ..Publish::default()
        };
        self.hub.publish(account, &publish);
    }
}

async fn answer_all(shared: Arc<Shared>, mut requests: mpsc::Receiver<Request>) {
    let slow = Arc::new(Semaphore::new(MAX_SLOW));
    while let Some(request) = requests.recv().await {
        if !request.asked.waits_for_others() {
            let shared = shared.clone();
            let answering = tokio::spawn(async move { answer_one(&shared, &request).await });
            // A panic is in the log. It costs one answer, not all that follow.
            answering.await.ok();
        } else if let Ok(slot) = slow.clone().try_acquire_owned() {
            let shared = shared.clone();
            tokio::spawn(async move {
                answer_one(&shared, &request).await;
                drop(slot);
            });
        }
        // A long answer must not keep this thread from its other tasks for two.
        tokio::task::yield_now().await;
    }
}

async fn answer_one(shared: &Shared, request: &Request) {
    let answer = answer::answer(shared, request).await;
    if let Some(answer) = answer
        && !request.reply.is_empty()
    {
        shared.publish(&request.account, &request.reply, &answer);
    }
}

async fn follow_accounts(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(ACCOUNTS_INTERVAL);
    loop {
        ticks.tick().await;
        shared.serve_accounts();
    }
}

#[cfg(test)]
mod tests;
