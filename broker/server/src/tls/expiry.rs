//! How long the certificates that clients see are good for.

use std::time::{Duration, SystemTime};

use settings::options::Tls;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::certificates::certificates;

/// When the first of the certificates that clients may be shown expires. `None` without any.
pub fn not_after(tls: &Tls) -> Option<SystemTime> {
    let pairs = tls.certificates.iter().map(|pair| &pair.cert_file);
    let files = tls.cert_file.iter().chain(pairs);
    let ends = files.filter_map(|file| {
        // A file that cannot be read is reported where the listener is set up.
        let chain = certificates(file).ok()?;
        let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
        let seconds = certificate.validity().not_after.timestamp();
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
    });
    ends.min()
}
