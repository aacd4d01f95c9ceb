//! TLS configurations from files.

mod certificates;
mod expiry;
mod names;
mod pins;

use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, ServerConfig, SignatureScheme,
    SupportedCipherSuite, SupportedProtocolVersion,
};
use settings::options::{Tls, TlsVersion};

use certificates::{Choice, certificates, identity};
pub use expiry::not_after;
pub use names::names;
use pins::{PinnedClients, PinnedServers};

/// The accepting side.
pub fn server(tls: &Tls) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = provider(tls)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(tls))?;
    let builder = match client_verifier(tls, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let choice = Choice::read(tls, &provider)?;
    Ok(Arc::new(builder.with_cert_resolver(Arc::new(choice))))
}

/// Who checks the certificates of clients, if they have to show one.
fn client_verifier(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
) -> anyhow::Result<Option<Arc<dyn ClientCertVerifier>>> {
    let verifier = match tls.verify || tls.verify_and_map {
        false => None,
        true => {
            let roots = Arc::new(roots(tls)?);
            let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            Some(builder.build()?)
        }
    };
    if tls.pinned_certs.is_empty() {
        return Ok(verifier);
    }
    let verifier = verifier.context("pinned_certs need verify and ca_file")?;
    Ok(Some(Arc::new(PinnedClients::new(
        verifier,
        tls.pinned_certs.clone(),
    ))))
}

/// The dialling side, between servers.
pub fn client(tls: &Tls) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = provider(tls)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(tls))?;
    let verifier: Arc<dyn ServerCertVerifier> = match tls.insecure {
        true => Arc::new(AcceptAnyone(provider.clone())),
        false => {
            let roots = Arc::new(roots(tls)?);
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots, provider).build()?
        }
    };
    let verifier: Arc<dyn ServerCertVerifier> = match tls.pinned_certs.is_empty() {
        true => verifier,
        false => Arc::new(PinnedServers::new(verifier, tls.pinned_certs.clone())),
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(Arc::new(match identity(tls)? {
        Some((certificates, key)) => builder.with_client_auth_cert(certificates, key)?,
        None => builder.with_no_client_auth(),
    }))
}

/// The ciphers and key exchanges that are configured, as far as this server has them. Those of
/// TLS 1.3 cannot be chosen, as in nats-server.
fn provider(tls: &Tls) -> anyhow::Result<Arc<CryptoProvider>> {
    let mut provider = aws_lc_rs::default_provider();
    if !tls.cipher_suites.is_empty() {
        let (newer, older): (Vec<_>, Vec<_>) = provider
            .cipher_suites
            .into_iter()
            .partition(|suite| suite.tls13().is_some());
        let named = |name: &String| older.iter().copied().find(|suite| is_named(suite, name));
        provider.cipher_suites = newer;
        provider
            .cipher_suites
            .extend(tls.cipher_suites.iter().filter_map(named));
    }
    if !tls.curve_preferences.is_empty() {
        let all = aws_lc_rs::ALL_KX_GROUPS;
        let named = |name: &String| {
            all.iter()
                .copied()
                .find(|group| group.name() == curve(name))
        };
        let chosen: Vec<&dyn SupportedKxGroup> =
            tls.curve_preferences.iter().filter_map(named).collect();
        if chosen.is_empty() {
            bail!("none of the curve_preferences is supported by this version");
        }
        provider.kx_groups = chosen;
    }
    Ok(Arc::new(provider))
}

fn is_named(suite: &SupportedCipherSuite, name: &str) -> bool {
    suite.suite().as_str() == Some(name)
}

fn curve(name: &str) -> NamedGroup {
    match name {
        "X25519MLKEM768" => NamedGroup::X25519MLKEM768,
        "SecP256r1MLKEM768" => NamedGroup::secp256r1MLKEM768,
        "X25519" => NamedGroup::X25519,
        "CurveP256" => NamedGroup::secp256r1,
        "CurveP384" => NamedGroup::secp384r1,
        "CurveP521" => NamedGroup::secp521r1,
        _ => NamedGroup::Unknown(0),
    }
}

fn versions(tls: &Tls) -> &'static [&'static SupportedProtocolVersion] {
    const NEWEST: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
    match tls.min_version {
        TlsVersion::V1_2 => rustls::ALL_VERSIONS,
        TlsVersion::V1_3 => NEWEST,
    }
}

fn roots(tls: &Tls) -> anyhow::Result<RootCertStore> {
    let Some(file) = &tls.ca_file else {
        bail!("tls with verification needs ca_file");
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// The verifier of `insecure: true`: the connection is encrypted, the peer is not known.
#[derive(Debug)]
struct AcceptAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
