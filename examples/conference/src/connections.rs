//! HTTP connections: accepted, bounded, served.
//!
//! A connection on which no request comes is closed after a while; when many of that sort are there, the oldest goes at
//! once, so that who has something to ask always gets in.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tower::ServiceExt as _;

/// How long the head of a request may take, the first one and those after it on the same connection.
const HEAD: Duration = Duration::from_secs(10);

/// Connections of one listener on which no request has come yet: more than come at once when a large meeting begins.
const MAX_SILENT: usize = 4096;

/// How long it is waited when the system gives no connection, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves all connections of a listener, for ever.
pub(crate) async fn serve(listener: TcpListener, routes: Router) {
    let mut silent: VecDeque<Silent> = VecDeque::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection is lost");
                sleep(PAUSE).await;
                continue;
            }
        };
        let asked = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(connection(stream, from, routes.clone(), asked.clone())).abort_handle();
        silent.retain(Silent::is_silent);
        if silent.len() >= MAX_SILENT
            && let Some(oldest) = silent.pop_front()
        {
            oldest.task.abort();
        }
        silent.push_back(Silent { task, asked });
    }
}

/// A connection that may not have asked for anything yet.
struct Silent {
    task: AbortHandle,
    asked: Arc<AtomicBool>,
}

impl Silent {
    fn is_silent(&self) -> bool {
        !self.asked.load(Ordering::Relaxed) && !self.task.is_finished()
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, routes: Router, asked: Arc<AtomicBool>) {
    let answer = service_fn(move |mut request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(from));
        let routes = routes.clone();
        async move { routes.oneshot(request).await as Result<Response<Body>, Infallible> }
    });
    // Messages are short and should not wait for one another.
    let _ = stream.set_nodelay(true);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection has ended");
    }
}
