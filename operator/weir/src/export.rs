//! `weir export`: what any NATS servers have, as resources that adopt it.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use api::{AccountRef, Connection, SecretKeyRef};
use clap::Args;
use reconcile::{Caller, Environment, Export, Exported, Servers, Target, Tls, export};

/// The entry of credentials Secrets that the operator writes.
const CREDS_KEY: &str = "user.creds";

#[derive(Args, Clone, Debug)]
pub struct Options {
    /// URLs of servers of one cluster, separated by commas.
    #[arg(long, short, value_delimiter = ',', required = true)]
    server: Vec<String>,
    /// Credentials file of a user that may see streams.
    #[arg(long, value_name = "FILE")]
    creds: Option<PathBuf>,
    /// Certificates that sign those of the servers, in PEM.
    #[arg(long, value_name = "FILE")]
    tlsca: Option<PathBuf>,
    /// JetStream domain.
    #[arg(long)]
    domain: Option<String>,
    /// The Account that the resources are to belong to. Default: they name the servers themselves.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The Secret with credentials, for resources that name the servers themselves.
    #[arg(long, value_name = "NAME", conflicts_with = "account")]
    creds_secret: Option<String>,
    /// Namespace of the resources.
    #[arg(long, short)]
    namespace: Option<String>,
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
    let environment = Environment::system();
    let caller = match &options.creds {
        Some(path) => Caller::from_creds(&read(path)?)
            .with_context(|| format!("credentials {}", path.display()))?,
        None => Caller::Anonymous,
    };
    let mut servers = Servers::new(options.server.clone(), environment.clone());
    if let Some(path) = &options.tlsca {
        let tls = Tls {
            authorities: read(path)?,
            identity: None,
        };
        let named = |reason| anyhow!("certificates {}: {reason}", path.display());
        servers = servers.with_tls(&tls).map_err(named)?;
    }
    let wanted = Export {
        target: target(options),
        namespace: options.namespace.clone(),
        domain: options.domain.clone(),
    };
    let found = export(&servers, &caller, &wanted, environment.now()).await?;
    for exported in &found {
        print!("{}", document(exported)?);
    }
    eprintln!(
        "{} resources; kubectl apply adopts what is just as they say",
        found.len()
    );
    Ok(())
}

fn target(options: &Options) -> Target {
    if let Some(name) = &options.account {
        return Target::Account(AccountRef {
            name: name.clone(),
            namespace: None,
        });
    }
    Target::Connection(Connection {
        servers: options.server.clone(),
        creds_secret_ref: options.creds_secret.as_ref().map(|name| SecretKeyRef {
            name: name.clone(),
            key: CREDS_KEY.to_owned(),
        }),
        tls: None,
    })
}

/// One document of a file, with a remark about what it can not say.
fn document(exported: &Exported) -> anyhow::Result<String> {
    let mut text = String::from("---\n");
    if !exported.lost.is_empty() {
        text += &format!(
            "# {} can not say all of {}: {}. Nothing is changed while adoptionPolicy is IfIdentical.\n",
            exported.kind,
            exported.found,
            exported.lost.join(", ")
        );
    }
    text += &serde_yaml::to_string(&exported.document)?;
    Ok(text)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_say_what_is_lost() {
        let exported = Exported {
            kind: api::Kind::Stream,
            found: "ODD".to_owned(),
            document: serde_json::json!({"kind": "Stream"}),
            lost: vec!["placement".to_owned()],
        };
        let text = document(&exported).expect("plain data");
        assert!(
            text.starts_with("---\n# Stream can not say all of ODD: placement."),
            "{text}"
        );
        assert!(text.ends_with("kind: Stream\n"), "{text}");
    }
}
