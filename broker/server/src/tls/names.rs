//! The names in a client's certificate by which its user is found.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// Mail addresses, DNS names and URIs, then the distinguished name in both orders. Empty for what is
/// no certificate.
pub fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let (mut mails, mut hosts, mut uris) = (Vec::new(), Vec::new(), Vec::new());
    if let Ok(Some(alternatives)) = parsed.subject_alternative_name() {
        for name in &alternatives.value.general_names {
            match name {
                GeneralName::RFC822Name(mail) => mails.push((*mail).to_owned()),
                GeneralName::DNSName(host) => hosts.push((*host).to_owned()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                _ => {}
            }
        }
    }
    let mut names = mails;
    names.append(&mut hosts);
    names.append(&mut uris);
    let mut parts = distinguished(parsed.subject());
    if !parts.is_empty() {
        // As in RFC 2253, the last part comes first; people also write it the other way round.
        for separator in [",", ", "] {
            names.push(parts.join(separator));
        }
        parts.reverse();
        for separator in [",", ", "] {
            names.push(parts.join(separator));
        }
    }
    names
}

/// `CN=…` and so on, the last part first.
fn distinguished(subject: &X509Name<'_>) -> Vec<String> {
    let mut parts: Vec<String> = subject
        .iter_attributes()
        .filter_map(|attribute| {
            let value = attribute.as_str().ok()?;
            let id = attribute.attr_type().to_id_string();
            let short = match id.as_str() {
                "2.5.4.3" => "CN",
                "2.5.4.5" => "SERIALNUMBER",
                "2.5.4.6" => "C",
                "2.5.4.7" => "L",
                "2.5.4.8" => "ST",
                "2.5.4.9" => "STREET",
                "2.5.4.10" => "O",
                "2.5.4.11" => "OU",
                "2.5.4.17" => "POSTALCODE",
                "0.9.2342.19200300.100.1.25" => "DC",
                "0.9.2342.19200300.100.1.1" => "UID",
                other => other,
            };
            Some(format!("{short}={value}"))
        })
        .collect();
    parts.reverse();
    parts
}
