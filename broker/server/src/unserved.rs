//! Options that are understood but that this version cannot serve. A server that is told one of
//! them says so and does not start: an option must never be ignored, least of all one of security.

use settings::Options;
use settings::options::Tls;

/// The first such option, and what to do instead.
pub fn find(options: &Options) -> Option<String> {
    if let Some(block) = options.unserved.first() {
        return Some(format!(
            "{}: {:?} is not served by this version; remove it",
            block.position, block.block
        ));
    }
    let logging = &options.logging;
    let blocks = [&options.tls, &options.cluster.tls, &options.websocket.tls];
    let mut tls = blocks.into_iter().flatten();
    let is_told = [
        (
            options.jetstream.encryption_key.is_some(),
            "jetstream encryption is not served by this version; remove \"key\"",
        ),
        (
            logging.syslog || logging.remote_syslog.is_some(),
            "syslog is not served by this version; use log_file, or standard error and the journal",
        ),
        (
            options.profile_port.is_some(),
            "prof_port is not served by this version; remove it",
        ),
        (
            options.cluster.authorization.permissions.is_some(),
            "permissions of the cluster are not served by this version; remove them",
        ),
        (
            tls.any(unserved_tls),
            "tls: ocsp_peer and verify_cert_and_check_known_urls are not served by this version; \
             remove them",
        ),
    ];
    let found = is_told.into_iter().find(|(is_told, _)| *is_told);
    found.map(|(_, text)| text.to_owned())
}

fn unserved_tls(tls: &Tls) -> bool {
    tls.verify_cert_and_check_known_urls || tls.ocsp_peer.as_ref().is_some_and(|peer| peer.verify)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_ignored_is_named() {
        assert_eq!(find(&Options::default()), None);
        let options = Options {
            profile_port: Some(settings::options::Port::Fixed(1)),
            ..Options::default()
        };
        assert!(find(&options).is_some_and(|text| text.starts_with("prof_port")));
    }
}
