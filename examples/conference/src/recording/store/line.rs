//! The line to a store: HTTP by the client that webhooks use too, so that there is one TLS and one HTTP in the program.
//!
//! An answer is taken whole, within a time: what is asked for is never longer than a part.

use std::error::Error;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Response;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpService,
};
use tokio::time::timeout;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// Connections without work are closed after this time.
const IDLE: Duration = Duration::from_secs(30);
/// The longest answer to what asks for no bytes of an object, in bytes: an explanation.
const MAX_TOLD: usize = 64 << 10;

/// Makes lines to a store.
#[derive(Debug, Clone)]
pub(super) struct Line {
    client: Door,
    longest: usize,
    patience: Duration,
}

/// The way out; that with TLS can do without as well.
#[derive(Debug, Clone)]
enum Door {
    Plain(Client<Tcp, HttpRequestBody>),
    Secure(Client<HttpsConnector<Tcp>, HttpRequestBody>),
}

impl Line {
    /// `secure`: with TLS. `longest`: the most bytes of an object that are asked for. `patience`: for each request with its
    /// answer.
    pub(super) fn new(secure: bool, longest: usize, patience: Duration) -> io::Result<Self> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        let mut tcp = Tcp::new();
        tcp.set_connect_timeout(Some(CONNECT));
        let client = if secure {
            tcp.enforce_http(false);
            let tls = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http();
            Door::Secure(builder.build(tls.enable_http1().wrap_connector(tcp)))
        } else {
            Door::Plain(builder.build(tcp))
        };
        Ok(Self {
            client,
            longest: longest.saturating_add(MAX_TOLD),
            patience,
        })
    }
}

impl HttpConnector for Line {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Line {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answered = async {
            let sent = match &self.client {
                Door::Plain(client) => client.request(request).await,
                Door::Secure(client) => client.request(request).await,
            };
            let (head, body) = sent.map_err(cannot_send)?.into_parts();
            let body = Limited::new(body, self.longest).collect().await;
            let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, Whole(error)))?;
            Ok(Response::from_parts(head, body.to_bytes().into()))
        };
        timeout(self.patience, answered)
            .await
            .unwrap_or_else(|late| Err(HttpError::new(HttpErrorKind::Timeout, late)))
    }
}

fn cannot_send(error: hyper_util::client::legacy::Error) -> HttpError {
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error)
}

/// Why an answer did not come whole.
#[derive(Debug)]
struct Whole(Box<dyn Error + Send + Sync>);

impl std::fmt::Display for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the answer did not come whole: {}", self.0)
    }
}

impl Error for Whole {}
