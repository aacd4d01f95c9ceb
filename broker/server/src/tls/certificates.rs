//! Certificates of this server, and which of them a client is shown.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use settings::options::Tls;

/// A certificate with its chain, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificate of one that dials.
pub fn identity(tls: &Tls) -> anyhow::Result<Option<Identity>> {
    match (&tls.cert_file, &tls.key_file) {
        (Some(cert_file), Some(key_file)) => Ok(Some(read(cert_file, key_file)?)),
        _ => match tls.certificates.first() {
            Some(pair) => Ok(Some(read(&pair.cert_file, &pair.key_file)?)),
            None => Ok(None),
        },
    }
}

fn read(cert_file: &Path, key_file: &Path) -> anyhow::Result<Identity> {
    let key = PrivateKeyDer::from_pem_file(key_file)
        .with_context(|| format!("tls key {} cannot be read", key_file.display()))?;
    Ok((certificates(cert_file)?, key))
}

/// The certificates in a file, at least one.
pub fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let unreadable = || format!("tls certificate {} cannot be read", file.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .with_context(unreadable)?
        .collect();
    let found = found.with_context(unreadable)?;
    if found.is_empty() {
        bail!("{} holds no certificate", file.display());
    }
    Ok(found)
}

/// The certificates a server has. A client sees the first that is for the name it asks for, or else
/// the first.
#[derive(Debug)]
pub struct Choice(Vec<Arc<CertifiedKey>>);

impl Choice {
    pub fn read(tls: &Tls, provider: &CryptoProvider) -> anyhow::Result<Self> {
        let mut pairs = Vec::new();
        if let (Some(cert_file), Some(key_file)) = (&tls.cert_file, &tls.key_file) {
            pairs.push((cert_file, key_file));
        }
        let more = tls.certificates.iter();
        pairs.extend(more.map(|pair| (&pair.cert_file, &pair.key_file)));
        if pairs.is_empty() {
            bail!("tls needs cert_file and key_file, or certs");
        }
        let mut found = Vec::new();
        for (cert_file, key_file) in pairs {
            let (chain, key) = read(cert_file, key_file)?;
            let certified = CertifiedKey::from_der(chain, key, provider).with_context(|| {
                format!("key {} of {}", key_file.display(), cert_file.display())
            })?;
            found.push(Arc::new(certified));
        }
        Ok(Choice(found))
    }

    fn for_name(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| self.0.iter().find(|certified| is_for(certified, &name)));
        named.or(self.0.first()).cloned()
    }
}

fn is_for(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = certified.end_entity_cert().ok();
    let parsed = certificate.and_then(|der| ParsedCertificate::try_from(der).ok());
    parsed.is_some_and(|parsed| verify_server_name(&parsed, name).is_ok())
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(hello.server_name())
    }
}

#[cfg(test)]
impl Choice {
    /// The leaf a client that asks for this name sees.
    pub fn shown(&self, name: Option<&str>) -> Vec<u8> {
        let certified = self.for_name(name).expect("there is a certificate");
        certified.end_entity_cert().expect("it has a leaf").to_vec()
    }
}
