//! Certificates whose keys the configuration names.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// SHA-256 of the public keys that are accepted, in lower case hex.
type Pins = BTreeSet<String>;

fn check(pins: &Pins, certificate: &CertificateDer<'_>) -> Result<(), Error> {
    let refused =
        || Error::General("the certificate's key is not among the pinned_certs".to_owned());
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| refused())?;
    let mut pin = String::new();
    for byte in Sha256::digest(parsed.public_key().raw) {
        // Writing to a string cannot fail.
        let _ = write!(pin, "{byte:02x}");
    }
    match pins.contains(&pin) {
        true => Ok(()),
        false => Err(refused()),
    }
}

/// Accepts clients whose certificate is good and whose key is pinned.
#[derive(Debug)]
pub struct PinnedClients {
    verifier: Arc<dyn ClientCertVerifier>,
    pins: Pins,
}

impl PinnedClients {
    pub fn new(verifier: Arc<dyn ClientCertVerifier>, pins: Pins) -> Self {
        PinnedClients { verifier, pins }
    }
}

impl ClientCertVerifier for PinnedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .verifier
            .verify_client_cert(end_entity, intermediates, now)?;
        check(&self.pins, end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Accepts servers whose certificate is good and whose key is pinned.
#[derive(Debug)]
pub struct PinnedServers {
    verifier: Arc<dyn ServerCertVerifier>,
    pins: Pins,
}

impl PinnedServers {
    pub fn new(verifier: Arc<dyn ServerCertVerifier>, pins: Pins) -> Self {
        PinnedServers { verifier, pins }
    }
}

impl ServerCertVerifier for PinnedServers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        check(&self.pins, end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
