//! Sockets that wait for connections.

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::Context;
use settings::options::Port;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections the system keeps ready before they are accepted.
const BACKLOG: i32 = 1024;

/// Listens on a host, which may be in brackets. The address that means "all" in one family means
/// all of both: whoever configures `0.0.0.0` expects clients that come over IPv6 to be served.
pub async fn bind(host: &str, port: Port, purpose: &str) -> anyhow::Result<TcpListener> {
    let host = host.trim_matches(['[', ']']);
    let port = port.to_bind();
    if matches!(host, "" | "0.0.0.0" | "::")
        && let Ok(listener) = both_families(port)
    {
        return Ok(listener);
    }
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    one_address(host, port)
        .await
        .with_context(|| format!("Error listening on port: {port}, {purpose} on {host}"))
}

/// A name can have addresses of both families. The first of IPv4 is taken if there is one: that is
/// where clients of `localhost` look.
async fn one_address(host: &str, port: u16) -> std::io::Result<TcpListener> {
    let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    TcpListener::bind(&addresses[..]).await
}

fn both_families(port: u16) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let listener = bind("0.0.0.0", Port::Random, "tests").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "::1"] {
            // A host without IPv6 has no address to connect from.
            if std::net::UdpSocket::bind((host, 0)).is_ok() {
                TcpStream::connect((host, port)).await.unwrap();
                listener.accept().await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_name_means_its_address_of_ipv4() {
        let listener = bind("localhost", Port::Random, "tests").await.unwrap();
        assert!(listener.local_addr().unwrap().is_ipv4());
    }

    #[tokio::test]
    async fn one_address_stays_one() {
        let listener = bind("[::1]", Port::Random, "tests").await;
        if let Ok(listener) = listener {
            let address = listener.local_addr().unwrap();
            assert!(address.is_ipv6() && address.ip().is_loopback());
        }
        let first = bind("127.0.0.1", Port::Random, "tests").await.unwrap();
        assert_eq!(first.local_addr().unwrap().ip().to_string(), "127.0.0.1");
        let taken = Port::Fixed(first.local_addr().unwrap().port());
        let error = bind("127.0.0.1", taken, "tests").await.unwrap_err();
        assert!(error.to_string().contains("tests on 127.0.0.1"));
    }
}
