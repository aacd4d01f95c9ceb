//! The texts of `--help` and `--help_tls`.

use std::fmt::Write;

use super::table::{Definition, Section, TABLE};

/// Where the explanations start.
const COLUMN: usize = 34;

/// The text of `--help`. `program` is the name it was started by.
pub fn help(program: &str) -> String {
    let mut text = format!("Usage: {program} [FLAGS]\n");
    for section in Section::ALL {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{}:\n", section.title());
        for definition in TABLE
            .iter()
            .filter(|definition| definition.section == section)
        {
            let _ = writeln!(
                text,
                "  {:COLUMN$}  {}",
                spelling(definition),
                definition.help
            );
        }
    }
    text
}

/// Short names have one dash, long ones two. Both are understood with either.
fn spelling(definition: &Definition) -> String {
    let names: Vec<String> = definition
        .names
        .iter()
        .map(|name| {
            if name.len() < 4 && *name != "log" {
                format!("-{name}")
            } else {
                format!("--{name}")
            }
        })
        .collect();
    format!("{} {}", names.join(", "), definition.value)
        .trim_end()
        .to_owned()
}

/// The text of `--help_tls`.
pub fn help_tls() -> &'static str {
    "A tls block of the configuration file, with its defaults:

    tls {
      cert_file: \"server-cert.pem\"        # and key_file, or certs: [{cert_file, key_file}, ...]
      key_file: \"server-key.pem\"
      ca_file: \"ca.pem\"                   # authorities of client certificates
      verify: false                       # demand client certificates
      verify_and_map: false               # and find the user by them
      pinned_certs: []                    # SHA-256 of accepted public keys, in hex
      timeout: \"2s\"                       # of the handshake
      handshake_first: false              # true, auto or a duration: before INFO
      min_version: \"1.2\"                  # or 1.3
      cipher_suites: [\"TLS_AES_128_GCM_SHA256\", ...]
      curve_preferences: [\"X25519MLKEM768\", \"X25519\", \"CurveP256\", ...]
      connection_rate_limit: 0            # handshakes per second, 0 for no limit
    }
"
}
