//! TLS: the server's certificate, and a client that trusts it.

use std::io::{self, Cursor, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{Outcome, client};

/// A certificate for this machine, with its files.
pub struct Certificate {
    der: CertificateDer<'static>,
    block: String,
}

impl Certificate {
    /// Makes a certificate and writes it and its key into the directory.
    pub fn make(dir: &Path) -> Outcome<Certificate> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        std::fs::write(&cert, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let (cert, key) = (cert.display(), key.display());
        Ok(Certificate {
            der: made.cert.der().clone(),
            block: format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}"),
        })
    }

    /// The part of a server's configuration that uses it.
    pub fn block(&self) -> &str {
        &self.block
    }
}

/// An encrypted connection.
pub struct Link {
    /// The server's first line, which comes in the clear, as far as it was not read yet.
    greeting: Cursor<Vec<u8>>,
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Link {
    /// Reads the server's first line and encrypts what follows.
    pub fn open(mut socket: TcpStream, certificate: &Certificate) -> Outcome<Link> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der.clone())?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let session = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
        let mut greeting = Vec::new();
        while !greeting.ends_with(b"\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            greeting.extend(byte);
        }
        let mut stream = StreamOwned::new(session, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        let greeting = Cursor::new(greeting);
        Ok(Link { greeting, stream })
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.greeting.read(buffer)? {
            0 => self.stream.read(buffer),
            read => Ok(read),
        }
    }
}

impl client::Link for Link {
    fn pack(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn send_packed(&mut self, packed: &[u8]) -> io::Result<()> {
        self.stream.write_all(packed)?;
        self.stream.flush()
    }
}
