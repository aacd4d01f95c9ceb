//! The client that publishes all the time, and what it is owed.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Ready;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_nats::{Event, jetstream};
use e2e::{Ledger, Load};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::{Api, Client};
use time::OffsetDateTime;

use crate::machine::Machine;

/// Between two publishes.
const EVERY: Duration = Duration::from_millis(10);
/// Acknowledgements that show that publishing goes on.
const GOES_ON: usize = 100;
/// The entry of a User's Secret that holds its credentials file.
const CREDENTIALS: &str = "user.creds";
/// That of the authority whose certificates the brokers show, if they encrypt.
const AUTHORITY: &str = "ca.crt";

/// The longest time in which nothing was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    pub longest: Duration,
    /// The longest one without what the machine held up.
    pub own: Duration,
}

impl fmt::Display for Pause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.longest.is_zero() {
            return write!(out, "below 0.1 s");
        }
        write!(out, "{:.1?}", self.longest)?;
        match self.own < self.longest {
            true => write!(out, " ({:.1?} without what the machine held up)", self.own),
            false => Ok(()),
        }
    }
}

/// Publishing to one stream.
pub struct Publishing {
    client: async_nats::Client,
    context: jetstream::Context,
    stream: String,
    ledger: Ledger,
    load: Load,
}

impl Publishing {
    pub async fn start(
        client: async_nats::Client,
        stream: &str,
        subject: &str,
    ) -> anyhow::Result<Publishing> {
        let context = jetstream::new(client.clone());
        let found = context.get_stream(stream).await?;
        let messages = found.cached_info().state.messages;
        ensure!(
            messages == 0,
            "stream {stream} has {messages} messages of an earlier run; purge it first"
        );
        let ledger = Ledger::default();
        let load = ledger.steady_load(context.clone(), subject, EVERY);
        ledger.grows(GOES_ON).await;
        Ok(Publishing {
            client,
            context,
            stream: stream.to_owned(),
            ledger,
            load,
        })
    }

    pub fn context(&self) -> &jetstream::Context {
        &self.context
    }

    /// The broker that it is connected to.
    pub fn server(&self) -> String {
        self.client.server_info().server_name
    }

    /// Waits until publishing goes on; the pauses since the last call.
    pub async fn pause(&self, machine: &Machine) -> Pause {
        self.ledger.grows(GOES_ON).await;
        let pauses = self.ledger.pauses();
        let own = pauses.iter().map(|pause| {
            let held_up = machine.held_up(pause.began, pause.lasted);
            pause.lasted.saturating_sub(held_up)
        });
        let longest = pauses.iter().map(|pause| pause.lasted).max();
        Pause {
            longest: longest.unwrap_or_default(),
            own: own.max().unwrap_or_default(),
        }
    }

    /// Ends publishing and checks that the stream has every acknowledged message; their number.
    pub async fn settle(self) -> usize {
        let acked = self.load.end().await;
        let read = e2e::read_stream(&self.context, &self.stream).await;
        self.ledger.check(&read);
        acked
    }
}

/// The address of a client Service.
pub async fn address(client: &Client, namespace: &str, service: &str) -> anyhow::Result<IpAddr> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = services.get(service).await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip);
    Ok(address
        .context("the client Service has no address")?
        .parse()?)
}

/// The credentials file of a User.
pub async fn credentials(client: &Client, namespace: &str, secret: &str) -> anyhow::Result<String> {
    let data = entries(client, namespace, secret).await?;
    Ok(credentials_in(&data)?.to_owned())
}

type Entries = BTreeMap<String, ByteString>;

async fn entries(client: &Client, namespace: &str, secret: &str) -> anyhow::Result<Entries> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    Ok(secrets.get(secret).await?.data.unwrap_or_default())
}

fn credentials_in(data: &Entries) -> anyhow::Result<&str> {
    let Some(credentials) = data.get(CREDENTIALS) else {
        bail!("no {CREDENTIALS}, only {:?}", data.keys());
    };
    Ok(std::str::from_utf8(&credentials.0)?)
}

/// Says when something happens to a client's connection: pauses are explained by that.
fn tell(user: &str) -> impl Fn(Event) -> Ready<()> + Send + Sync + 'static {
    let user = user.to_owned();
    move |event| {
        let (hour, minute, second) = OffsetDateTime::now_utc().to_hms();
        println!("      {hour:02}:{minute:02}:{second:02} client {user}: {event}");
        std::future::ready(())
    }
}

/// Connects as a User does: with what its Secret holds, through the client Service.
pub async fn connect(
    client: &Client,
    namespace: &str,
    service: &str,
    secret: &str,
) -> anyhow::Result<async_nats::Client> {
    let address = address(client, namespace, service).await?;
    let data = entries(client, namespace, secret).await?;
    let mut options = async_nats::ConnectOptions::with_credentials(credentials_in(&data)?)?
        // Through the Service only, and away from a node that is lost after seconds.
        .ignore_discovered_servers()
        .connection_timeout(Duration::from_secs(1))
        .ping_interval(Duration::from_secs(1))
        .event_callback(tell(secret))
        .reconnect_delay_callback(|_| Duration::from_millis(50));
    // Read when it connects.
    let mut file = tempfile::NamedTempFile::new()?;
    if let Some(authority) = data.get(AUTHORITY) {
        file.write_all(&authority.0)?;
        options = options
            .require_tls(true)
            .add_root_certificates(file.path().to_owned());
    }
    Ok(options.connect(format!("nats://{address}:4222")).await?)
}
