//! One request: an event in JSON, vouched for by a token.

use std::io;
use std::time::Duration;

use aws_lc_rs::digest;
use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::line::Answer;
use crate::hub::unix_now;
use crate::protocol::wire::proto;
use crate::token::{Claims, Keys};

/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a token is good.
const VALIDITY: Duration = Duration::from_secs(300);

/// Connections without work are closed after this time.
const IDLE: Duration = Duration::from_secs(60);

/// What is read of an answer, in bytes, so that the connection can be used again. Nobody looks at it.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends events.
#[derive(Debug, Clone)]
pub(super) struct Post {
    key: String,
    keys: Keys,
    client: Door,
}

/// The way out; that with TLS can do without as well.
#[derive(Debug, Clone)]
enum Door {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Secure(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Post {
    /// `secure`: some receivers speak TLS.
    pub(super) fn new(key: &str, keys: &Keys, secure: bool) -> io::Result<Self> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        let client = if secure {
            let connector = HttpsConnectorBuilder::new().with_native_roots()?;
            Door::Secure(builder.build(connector.https_or_http().enable_http1().build()))
        } else {
            Door::Plain(builder.build(HttpConnector::new()))
        };
        Ok(Self {
            key: key.to_owned(),
            keys: keys.clone(),
            client,
        })
    }

    /// Sends one event, and waits for the answer.
    pub(super) async fn send(&self, url: &Uri, event: &proto::WebhookEvent) -> Answer {
        let Some(request) = self.request(url, event) else {
            return Answer::Refused;
        };
        let answered = async {
            let sent = match &self.client {
                Door::Plain(client) => client.request(request).await,
                Door::Secure(client) => client.request(request).await,
            };
            let (head, body) = sent.map_err(|error| error.to_string())?.into_parts();
            let _ = Limited::new(body, MAX_ANSWER).collect().await;
            Ok::<StatusCode, String>(head.status)
        };
        let problem = match timeout(PATIENCE, answered).await {
            Ok(Ok(status)) if status.is_success() => return Answer::Taken,
            Ok(Ok(status)) if !is_passing(status) => {
                tracing::warn!(%url, %status, event = event.event, "a webhook is refused");
                return Answer::Refused;
            }
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(problem)) => problem,
            Err(_) => "no answer".to_owned(),
        };
        tracing::info!(%url, problem, event = event.event, "a webhook will be sent again");
        Answer::Failed
    }

    fn request(&self, url: &Uri, event: &proto::WebhookEvent) -> Option<Request<Full<Bytes>>> {
        let body = serde_json::to_vec(event).ok()?;
        let now = unix_now();
        let claims = Claims {
            nbf: Some(now.as_secs()),
            exp: Some(now.saturating_add(VALIDITY).as_secs()),
            sha256: STANDARD.encode(digest::digest(&digest::SHA256, &body)),
            ..Claims::default()
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(header::CONTENT_TYPE, "application/webhook+json")
            .header(header::AUTHORIZATION, self.keys.mint(&self.key, &claims)?);
        request.body(Full::new(body.into())).ok()
    }
}

/// It may be otherwise soon.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}
