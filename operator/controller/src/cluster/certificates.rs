//! Certificates that servers show.
//!
//! People keep them in Secrets of their own. Servers mount copies, in one Secret of the operator's: what
//! servers could not use is never copied, so they keep the last certificates that were in order, also
//! when they are restarted.

use std::collections::BTreeMap;

use api::cluster::{ClientTls, ClusterSpec};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::validate::Invalid;

/// A listener that may be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    Client,
    Cluster,
    WebSocket,
}

/// What a Secret of certificates holds; what it lacks is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSecret {
    /// The Secret that people named.
    pub name: String,
    /// `tls.crt`: the certificate and those between it and the authority, in PEM.
    pub certificate: String,
    /// `tls.key`
    pub key: reconcile::Secret,
    /// `ca.crt`
    pub authority: String,
}

/// What each encrypted listener uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    used: BTreeMap<Listener, TlsSecret>,
    /// Why a listener keeps the certificate that it has.
    pub problem: Option<Invalid>,
}

/// What a listener asks for.
struct Wanted<'a> {
    secret: &'a str,
    needs_authority: bool,
}

/// Decides which certificates servers use: those that people named if they are in order, and those that
/// servers have otherwise.
///
/// # Errors
/// Certificates can not be used, and servers have none yet.
pub fn choose(
    spec: &ClusterSpec,
    named: &BTreeMap<String, TlsSecret>,
    kept: &BTreeMap<Listener, TlsSecret>,
) -> Result<Certificates, Invalid> {
    let mut chosen = Certificates::default();
    for listener in Listener::ALL {
        let Some(wanted) = listener.wanted(spec) else {
            continue;
        };
        let secret = match usable(named, &wanted, listener.field()) {
            Ok(secret) => secret.clone(),
            Err(problem) => {
                let kept = kept.get(&listener);
                let kept = kept.filter(|kept| kept.check(wanted.needs_authority).is_ok());
                let Some(kept) = kept else {
                    return Err(problem);
                };
                chosen.problem.get_or_insert(problem);
                TlsSecret {
                    name: wanted.secret.to_owned(),
                    ..kept.clone()
                }
            }
        };
        chosen.used.insert(listener, secret);
    }
    Ok(chosen)
}

/// Names of the Secrets that a Cluster names.
pub fn named(spec: &ClusterSpec) -> impl Iterator<Item = &str> {
    let wanted = Listener::ALL.iter().filter_map(|one| one.wanted(spec));
    wanted.map(|wanted| wanted.secret)
}

fn usable<'a>(
    named: &'a BTreeMap<String, TlsSecret>,
    wanted: &Wanted<'_>,
    field: &'static str,
) -> Result<&'a TlsSecret, Invalid> {
    let name = || wanted.secret.to_owned();
    let secret = named.get(wanted.secret);
    let secret = secret.ok_or_else(|| Invalid::NoSecret {
        name: name(),
        field,
    })?;
    let missing = match secret {
        secret if secret.certificate.is_empty() => Some("tls.crt"),
        secret if secret.key.expose().is_empty() => Some("tls.key"),
        secret if wanted.needs_authority && secret.authority.is_empty() => Some("ca.crt"),
        _ => None,
    };
    if let Some(key) = missing {
        return Err(Invalid::NoEntry {
            name: name(),
            key,
            field,
        });
    }
    secret.check(wanted.needs_authority).map_err(|why| {
        let name = name();
        Invalid::NoCertificate { name, field, why }
    })?;
    Ok(secret)
}

impl Listener {
    pub const ALL: [Listener; 3] = [Listener::Client, Listener::Cluster, Listener::WebSocket];

    /// The field of the Cluster.
    fn field(self) -> &'static str {
        match self {
            Listener::Client => "listeners.client.tls",
            Listener::Cluster => "listeners.cluster.tls",
            Listener::WebSocket => "listeners.websocket.tls",
        }
    }

    /// Begins the entries of the Secret that servers mount.
    fn prefix(self) -> &'static str {
        match self {
            Listener::Client => "client",
            Listener::Cluster => "cluster",
            Listener::WebSocket => "websocket",
        }
    }

    fn wanted(self, spec: &ClusterSpec) -> Option<Wanted<'_>> {
        let listeners = &spec.listeners;
        let (secret, needs_authority) = match self {
            Listener::Client => of_clients(listeners.client.tls.as_ref()?),
            Listener::WebSocket => of_clients(listeners.websocket.as_ref()?.tls.as_ref()?),
            Listener::Cluster => (listeners.cluster.tls.as_ref()?.secret_name.as_str(), true),
        };
        Some(Wanted {
            secret,
            needs_authority,
        })
    }

    /// Entries of the Secret that servers mount, and the names of the files they become.
    pub fn entries(self) -> [(String, &'static str); 3] {
        let prefix = self.prefix();
        [
            (format!("{prefix}.crt"), "tls.crt"),
            (format!("{prefix}.key"), "tls.key"),
            (format!("{prefix}-ca.crt"), "ca.crt"),
        ]
    }
}

impl Certificates {
    pub fn of(&self, listener: Listener) -> Option<&TlsSecret> {
        self.used.get(&listener)
    }

    /// The entries of the Secret that servers mount; none if nothing is encrypted.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let entries = self.used.iter().flat_map(|(listener, secret)| {
            let texts = [
                secret.certificate.as_str(),
                secret.key.expose(),
                secret.authority.as_str(),
            ];
            let keys = listener.entries().into_iter().map(|(key, _)| key);
            keys.zip(texts.map(|text| ByteString(text.as_bytes().to_vec())))
        });
        entries.collect()
    }

    /// What the Secret that servers mount holds.
    pub fn kept(mounted: &Secret) -> BTreeMap<Listener, TlsSecret> {
        let kept = Listener::ALL.into_iter().filter_map(|listener| {
            let [certificate, key, authority] = listener.entries().map(|(key, _)| key);
            let secret = TlsSecret::read(mounted, String::new(), [&certificate, &key, &authority]);
            (!secret.certificate.is_empty()).then_some((listener, secret))
        });
        kept.collect()
    }
}

impl TlsSecret {
    /// What a Secret of that name holds.
    pub fn of(name: &str, secret: &Secret) -> TlsSecret {
        TlsSecret::read(secret, name.to_owned(), ["tls.crt", "tls.key", "ca.crt"])
    }

    fn read(secret: &Secret, name: String, keys: [&str; 3]) -> TlsSecret {
        let [certificate, key, authority] = keys.map(|key| {
            let value = secret.data.as_ref().and_then(|data| data.get(key));
            let value = value.map(|value| value.0.as_slice());
            String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
        });
        TlsSecret {
            name,
            certificate,
            key: reconcile::Secret::new(key),
            authority,
        }
    }

    /// Tells versions apart.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for text in [&self.certificate, self.key.expose(), &self.authority] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
        hasher.finalize().into()
    }

    /// Whether a server could use it, as the server would find out; otherwise why not.
    fn check(&self, needs_authority: bool) -> Result<(), String> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let chain = chain.map_err(|error| format!("tls.crt is no certificate in PEM: {error}"))?;
        if chain.is_empty() {
            return Err("tls.crt is no certificate in PEM".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(|error| format!("tls.key is no private key in PEM: {error}"))?;
        let key = aws_lc_rs::default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| format!("tls.key can not be used: {error}"))?;
        CertifiedKey::new(chain, key)
            .keys_match()
            .map_err(|error| format!("tls.crt does not go with tls.key: {error}"))?;
        if !needs_authority {
            return Ok(());
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.authority.as_bytes()) {
            certificate
                .map_err(|error| error.to_string())
                .and_then(|one| roots.add(one).map_err(|error| error.to_string()))
                .map_err(|error| format!("ca.crt can not be used: {error}"))?;
        }
        match roots.is_empty() {
            true => Err("ca.crt is no certificate in PEM".to_owned()),
            false => Ok(()),
        }
    }
}

fn of_clients(tls: &ClientTls) -> (&str, bool) {
    (&tls.secret_name, tls.verify)
}
