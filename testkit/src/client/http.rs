//! HTTP/1.1 by hand: one connection, one request, one response with its length told (RFC 9112).
//!
//! No TLS, no chunks, no redirects, no connection kept.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longest response, in bytes.
const MAX_RESPONSE: u64 = 1 << 20;
/// How long one read or write may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An `http://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Host and port.
    authority: String,
    /// From the first slash.
    path: String,
}

impl Url {
    /// Reads `http://host[:port][/path]`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let bracketless = authority.rsplit(']').next().unwrap_or_default();
        let authority = match (authority, bracketless.contains(':')) {
            ("", _) => return None,
            (authority, true) => authority.to_owned(),
            (authority, false) => format!("{authority}:80"),
        };
        Some(Self {
            authority,
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path.to_owned()
            },
        })
    }

    /// What `reference` means from here: a whole address, or a path from the root.
    #[must_use]
    pub fn join(&self, reference: &str) -> Option<Self> {
        if reference.starts_with('/') {
            return Some(Self {
                path: reference.to_owned(),
                ..self.clone()
            });
        }
        Self::parse(reference)
    }

    /// The first address of the host.
    ///
    /// # Errors
    /// [`HttpError::Io`] when the host has none.
    pub fn address(&self) -> Result<SocketAddr, HttpError> {
        let mut addresses = self.authority.to_socket_addrs().map_err(HttpError::Io)?;
        addresses
            .next()
            .ok_or_else(|| HttpError::Io(io::ErrorKind::NotFound.into()))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200, 404, …
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// Text.
    pub body: String,
}

impl Response {
    /// The first header with this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self {
            status,
            headers: lines.filter_map(header).collect(),
            body: body.to_owned(),
        })
    }
}

/// Sends a request and waits for the response.
///
/// # Errors
/// [`HttpError`] when there is none that reads.
pub fn request(method: &str, url: &Url, headers: &[(&str, &str)], body: &str) -> Result<Response, HttpError> {
    let mut stream = TcpStream::connect_timeout(&url.address()?, TIMEOUT).map_err(HttpError::Io)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(HttpError::Io)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(HttpError::Io)?;
    let mut text = format!(
        "{method} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
        url.path, url.authority
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(text.as_bytes()).map_err(HttpError::Io)?;
    let mut response = Vec::new();
    stream
        .take(MAX_RESPONSE)
        .read_to_end(&mut response)
        .map_err(HttpError::Io)?;
    Response::parse(&String::from_utf8_lossy(&response)).ok_or(HttpError::Malformed)
}

/// Why there is no response.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpError {
    /// The connection failed.
    Io(io::Error),
    /// What came is not HTTP.
    Malformed,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Malformed => f.write_str("the response is not HTTP"),
        }
    }
}

impl std::error::Error for HttpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = Url::parse("http://127.0.0.1:7880/whip/room").unwrap();
        assert_eq!(url.to_string(), "http://127.0.0.1:7880/whip/room");
        assert_eq!(
            url.join("/whip/room/1").unwrap().to_string(),
            "http://127.0.0.1:7880/whip/room/1"
        );
        assert_eq!(url.join("http://a/b").unwrap().to_string(), "http://a:80/b");
        assert_eq!(
            Url::parse("http://[::1]").unwrap().address().unwrap(),
            "[::1]:80".parse().unwrap()
        );
        assert_eq!(
            (Url::parse("https://a"), Url::parse("http://"), url.join("b")),
            (None, None, None)
        );
    }

    #[test]
    fn responses() {
        let text = "HTTP/1.1 201 Created\r\nLocation: /whip/1\r\nETag: \"a:b\"\r\n\r\nv=0\r\n";
        let response = Response::parse(text).unwrap();
        assert_eq!((response.status, response.body.as_str()), (201, "v=0\r\n"));
        assert_eq!(
            (response.header("location"), response.header("etag")),
            (Some("/whip/1"), Some("\"a:b\""))
        );
        assert_eq!(Response::parse("nonsense\r\n\r\n"), None);
    }
}
