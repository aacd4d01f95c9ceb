//! TLS of one listener, or of the connections a server makes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Files are named, not read: whoever opens the listener reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    /// More certificates to choose from by server name.
    pub certificates: Vec<CertificatePair>,
    /// Do not verify the other side's certificate.
    pub insecure: bool,
    /// Demand and verify a client certificate.
    pub verify: bool,
    /// Demand a client certificate and find the user by it.
    pub verify_and_map: bool,
    /// Routes and gateways only: the certificate must name a configured URL.
    pub verify_cert_and_check_known_urls: bool,
    pub allow_insecure_cipher_suites: bool,
    pub cipher_suites: Vec<String>,
    pub curve_preferences: Vec<String>,
    pub min_version: TlsVersion,
    /// How long a handshake may take.
    pub timeout: Duration,
    /// Handshakes per second; no limit if absent.
    pub connection_rate_limit: Option<u64>,
    /// SHA-256 of the accepted public keys, as lower case hex; any if empty.
    pub pinned_certs: BTreeSet<String>,
    pub handshake_first: HandshakeFirst,
    pub ocsp_peer: Option<OcspPeer>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert_file: None,
            key_file: None,
            ca_file: None,
            certificates: Vec::new(),
            insecure: false,
            verify: false,
            verify_and_map: false,
            verify_cert_and_check_known_urls: false,
            allow_insecure_cipher_suites: false,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            min_version: TlsVersion::V1_2,
            timeout: Duration::from_secs(2),
            connection_rate_limit: None,
            pinned_certs: BTreeSet::new(),
            handshake_first: HandshakeFirst::No,
            ocsp_peer: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePair {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

/// Whether the TLS handshake comes before the INFO line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFirst {
    No,
    Always,
    /// Wait this long for a client hello, then send INFO in plain text.
    Fallback(Duration),
}

/// How certificates of the other side are checked against their OCSP responder.
#[derive(Debug, Clone, PartialEq)]
pub struct OcspPeer {
    pub verify: bool,
    pub allowed_clock_skew: Duration,
    pub ca_timeout: Duration,
    pub cache_ttl_when_next_update_unset: Duration,
    pub warn_only: bool,
    pub unknown_is_good: bool,
    pub allow_when_ca_unreachable: bool,
}

impl Default for OcspPeer {
    fn default() -> Self {
        Self {
            verify: false,
            allowed_clock_skew: Duration::from_secs(30),
            ca_timeout: Duration::from_secs(2),
            cache_ttl_when_next_update_unset: Duration::from_secs(3600),
            warn_only: false,
            unknown_is_good: false,
            allow_when_ca_unreachable: false,
        }
    }
}
