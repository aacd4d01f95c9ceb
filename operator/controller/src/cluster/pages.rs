//! Reads a broker's monitoring pages: one small request over HTTP 1.0, so that an answer ends with its
//! connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one answer may take. A broker asks others before it says whether it can be stopped.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Longer answers are not read: the pages that are asked for say little.
const MAX_ANSWER_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no answer: {0}")]
    Io(#[from] std::io::Error),
    #[error("no answer within {TIMEOUT:?}")]
    Late,
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is not understood: {0}")]
    NotUnderstood(String),
}

/// Reads a page whose answer is JSON. `also` is a status that comes with such an answer, besides 200.
///
/// # Errors
/// If there is no such answer.
pub async fn read<T: DeserializeOwned>(
    address: IpAddr,
    port: u16,
    path: &str,
    also: u16,
) -> Result<T, Error> {
    let answer = timeout(TIMEOUT, fetch(SocketAddr::new(address, port), path))
        .await
        .map_err(|_| Error::Late)??;
    let (status, body) = split(&answer)?;
    if status != 200 && status != also {
        return Err(Error::Status(status));
    }
    serde_json::from_slice(body).map_err(|error| Error::NotUnderstood(error.to_string()))
}

async fn fetch(address: SocketAddr, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}

/// Status and body of an answer.
fn split(answer: &[u8]) -> Result<(u16, &[u8]), Error> {
    let not_http = || Error::NotUnderstood("it is not HTTP".to_owned());
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(not_http)?;
    let (head, body) = answer.split_at(end);
    let head = std::str::from_utf8(head).map_err(|_| not_http())?;
    let mut words = head.split_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok());
    match status {
        Some(status) if is_http => Ok((status, body.get(4..).unwrap_or_default())),
        _ => Err(not_http()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn answers_are_taken_apart() {
        let (status, body) = split(b"HTTP/1.0 503 Busy\r\nA: b\r\n\r\n{}").expect("it is HTTP");
        assert_eq!((status, body), (503, b"{}".as_slice()));
        for wrong in [
            b"".as_slice(),
            b"HTTP/1.0 x\r\n\r\n",
            b"abc 200\r\n\r\n",
            b"HTTP/1.1 200",
        ] {
            assert!(split(wrong).is_err());
        }
    }

    #[tokio::test]
    async fn a_page_is_read_from_a_server_that_closes_behind_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.expect("a request");
            let answer = b"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"safe\":false}";
            stream.write_all(answer).await.expect("it is sent");
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let page: serde_json::Value = read(address.ip(), address.port(), "/safez", 503)
            .await
            .expect("a page");
        assert_eq!(page["safe"], false);
        assert!(
            served
                .await
                .expect("it served")
                .starts_with("GET /safez HTTP/1.0\r\n")
        );
    }
}
