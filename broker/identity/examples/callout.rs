//! An authentication service for tests: what it answers depends on the user's name.
//!
//! `callout keys` prints the public keys, `callout world` the configuration of an operator with
//! accounts that delegate to the service, with tokens of users in comments. `callout ADDRESS CONNECT [sealed|operator]` connects with
//! this CONNECT body, says `ready`, and prints every question before it answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use identity::jwt::{
    AccountClaims, AuthorizationRequestClaims, AuthorizationResponseClaims, ExternalAuthorization,
    OperatorClaims, OperatorLimits, UserClaims, UserLimits,
};
use identity::nkey::{KeyPair, Kind};
use identity::xkey::XKey;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let keys = Keys::new();
    match arguments[..] {
        ["keys"] => {
            println!("issuer {}", keys.issuer.public_key());
            println!("place {}", keys.place.public_key());
            println!("xkey {}", keys.xkey.public_key());
            Ok(())
        }
        ["world"] => keys.world(),
        [address, connect] => keys.serve(address, connect, Mode::Plain),
        [address, connect, "sealed"] => keys.serve(address, connect, Mode::Sealed),
        [address, connect, "operator"] => keys.serve(address, connect, Mode::Operator),
        _ => Err(
            "usage: callout keys | callout world | callout ADDRESS CONNECT [sealed|operator]"
                .into(),
        ),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Plain,
    Sealed,
    /// Accounts are keys, and the users' own account signs for them.
    Operator,
}

struct Keys {
    /// Signs answers; in operator mode the key of the service's account.
    issuer: KeyPair,
    /// The account of users in operator mode.
    place: KeyPair,
    xkey: XKey,
}

/// One question as it came.
struct Question {
    claims: AuthorizationRequestClaims,
    reply: String,
}

impl Keys {
    fn new() -> Keys {
        Keys {
            issuer: KeyPair::from_entropy(Kind::Account, [1; 32]),
            place: KeyPair::from_entropy(Kind::Account, [2; 32]),
            xkey: XKey::from_entropy([3; 32]),
        }
    }

    fn world(&self) -> Result<(), Failure> {
        const ISSUED_AT_S: i64 = 1_700_000_000;
        let operator = KeyPair::from_entropy(Kind::Operator, [4; 32]);
        let system = KeyPair::from_entropy(Kind::Account, [5; 32]);
        let user = |number, signer: &KeyPair| {
            let mut user =
                UserClaims::new(&KeyPair::from_entropy(Kind::User, [number; 32]).public_key());
            user.body.limits = UserLimits::unlimited();
            user.body.limits.bearer_token = true;
            user.encode(signer, ISSUED_AT_S)
        };
        let mut claims = OperatorClaims::new(&operator.public_key());
        claims.name = "operator".to_owned();
        claims.body.system_account = system.public_key();
        println!("# Made by `callout world`.");
        println!("# service {}", user(6, &self.issuer)?);
        println!("# sentinel {}", user(7, &self.issuer)?);
        println!("# plain {}", user(8, &self.place)?);
        println!("operator: {}", claims.encode(&operator, ISSUED_AT_S)?);
        println!("resolver: MEMORY\nresolver_preload {{");
        for (name, key) in [("AUTH", &self.issuer), ("A", &self.place), ("SYS", &system)] {
            let mut account = AccountClaims::new(&key.public_key());
            account.name = name.to_owned();
            account.body.limits = OperatorLimits::unlimited();
            if name == "AUTH" {
                account.body.authorization = ExternalAuthorization {
                    auth_users: vec![KeyPair::from_entropy(Kind::User, [6; 32]).public_key()],
                    allowed_accounts: vec![self.place.public_key()],
                    xkey: self.xkey.public_key(),
                };
            }
            println!(
                "  {}: {}",
                key.public_key(),
                account.encode(&operator, ISSUED_AT_S)?
            );
        }
        println!("}}\nsystem_account: {}", system.public_key());
        println!("default_sentinel: {}", user(9, &self.issuer)?);
        Ok(())
    }

    fn serve(&self, address: &str, connect: &str, mode: Mode) -> Result<(), Failure> {
        let mut stream = TcpStream::connect(address)?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        write!(
            stream,
            "CONNECT {connect}\r\nSUB $SYS.REQ.USER.AUTH 1\r\nPING\r\n"
        )?;
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["PING"] => write!(stream, "PONG\r\n")?,
                ["PONG"] => say("ready"),
                ["MSG", _, _, reply, size] => {
                    let body = read(&mut lines, size.parse()?)?;
                    let claims = AuthorizationRequestClaims::decode(&String::from_utf8(body)?)?;
                    let reply = reply.to_owned();
                    self.answer(&mut stream, &Question { claims, reply }, mode)?;
                }
                ["HMSG", _, _, reply, headers, size] => {
                    let body = read(&mut lines, size.parse()?)?;
                    let (headers, body) = body.split_at(headers.parse()?);
                    let headers = String::from_utf8_lossy(headers);
                    let sender = headers.trim().rsplit(' ').next().unwrap_or_default();
                    say(&format!(
                        "headers {}",
                        headers.trim().replace("\r\n", " | ")
                    ));
                    let opened = self.xkey.open(body, sender)?;
                    let claims = AuthorizationRequestClaims::decode(&String::from_utf8(opened)?)?;
                    let reply = reply.to_owned();
                    self.answer(&mut stream, &Question { claims, reply }, mode)?;
                }
                _ => say(line.trim()),
            }
        }
    }

    fn answer(
        &self,
        stream: &mut TcpStream,
        question: &Question,
        mode: Mode,
    ) -> Result<(), Failure> {
        let asked = &question.claims;
        let body = serde_json::to_string(&asked.body)?;
        say(&format!(
            "{} of {} for {}",
            body, asked.issuer, asked.subject
        ));
        say(&format!(
            "audience {}, named {:?}",
            asked.audience, asked.name
        ));
        let Some(answer) = self.answer_to(asked, mode)? else {
            return Ok(());
        };
        let answer = match mode {
            Mode::Sealed | Mode::Operator if asked.body.connect_opts.name != "unsealed" => {
                let server = &asked.body.server.xkey;
                self.xkey.seal(answer.as_bytes(), server, [7; 24])?
            }
            _ => answer.into_bytes(),
        };
        write!(stream, "PUB {} {}\r\n", question.reply, answer.len())?;
        stream.write_all(&answer)?;
        write!(stream, "\r\n")?;
        Ok(())
    }

    /// The answer; `None` for a user that gets none.
    fn answer_to(
        &self,
        asked: &AuthorizationRequestClaims,
        mode: Mode,
    ) -> Result<Option<String>, Failure> {
        let now_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let name = asked.body.connect_opts.user.as_str();
        let stranger = KeyPair::from_entropy(Kind::Account, [9; 32]);
        let other = KeyPair::from_entropy(Kind::User, [9; 32]).public_key();
        let mut response = AuthorizationResponseClaims::new(&asked.body.user_nkey);
        response.audience = asked.body.server.id.clone();
        let mut user = UserClaims::new(&asked.body.user_nkey);
        user.body.limits = UserLimits::unlimited();
        user.audience = "A".to_owned();
        let mut signer = if mode == Mode::Operator {
            &self.place
        } else {
            &self.issuer
        };
        let mut answerer = &self.issuer;
        match name {
            "silent" => return Ok(None),
            "empty" => return Ok(Some(String::new())),
            "garbage" => return Ok(Some("eyJ.garbage".to_owned())),
            "named" => user.name = "Ann".to_owned(),
            "limited" => user.body.limits.publish.allow = vec!["allowed".to_owned()],
            "few" => user.body.limits.subs = 1,
            "websocket" => {
                user.body.limits.allowed_connection_types = vec!["WEBSOCKET".to_owned()];
            }
            "proxied" => user.body.limits.proxy_required = true,
            "other-user" => user.subject = other,
            "other-question" => response.subject = other,
            "other-server" => {
                response.audience = KeyPair::from_entropy(Kind::Server, [9; 32]).public_key();
            }
            "stranger-answers" => answerer = &stranger,
            "stranger-signs" => signer = &stranger,
            "nowhere" => user.audience = "NOWHERE".to_owned(),
            "service-account" => {
                user.audience = "AUTH".to_owned();
                signer = &self.issuer;
            }
            "expired" => user.expires_at_s = Some(now_s - 100),
            "short" => user.expires_at_s = Some(now_s + 3),
            "late" => response.expires_at_s = Some(now_s - 100),
            "both" => response.body.error = "no".to_owned(),
            "refused" => response.body.error = "not today".to_owned(),
            _ => {}
        }
        if name != "refused" {
            response.body.jwt = user.encode(signer, now_s)?;
        }
        Ok(Some(response.encode(answerer, now_s)?))
    }
}

fn read(lines: &mut impl Read, size: usize) -> Result<Vec<u8>, Failure> {
    let mut body = vec![0; size + "\r\n".len()];
    lines.read_exact(&mut body)?;
    body.truncate(size);
    Ok(body)
}

/// One line, seen at once by whoever reads this program's output.
fn say(line: &str) {
    println!("{line}");
}
