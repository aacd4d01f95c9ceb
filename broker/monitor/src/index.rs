//! The page that lists the endpoints.

const ENTRIES: &[(&str, &str)] = &[
    ("General", "varz"),
    ("JetStream", "jsz"),
    ("Connections", "connz"),
    ("Accounts", "accountz"),
    ("Account Stats", "accstatz"),
    ("Subscriptions", "subsz"),
    ("Routes", "routez"),
    ("LeafNodes", "leafz"),
    ("Gateways", "gatewayz"),
    ("Health Probe", "healthz"),
    ("Safe to Stop", "safez"),
    ("Expvar", "debug/vars"),
    ("Prometheus Metrics", "metrics"),
];

pub(crate) fn page(version: &str) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Weir</title>\n<style>\
         body { font-family: system-ui, sans-serif; margin: 2rem }\n\
         a { display: block; padding-bottom: 6px; color: #444460; text-decoration: none }\n\
         a:hover { font-weight: 600 }\n\
         </style></head>\n<body>\n",
    );
    page.push_str(&format!(
        "<h1>Weir</h1>\n<p>compatible with nats-server v{version}</p>\n"
    ));
    for (title, path) in ENTRIES {
        page.push_str(&format!("<a href=\"./{path}\">{title}</a>\n"));
    }
    page.push_str("</body>\n</html>\n");
    page
}
