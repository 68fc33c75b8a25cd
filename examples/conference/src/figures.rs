//! `GET /stats`: what the server does, in numbers, as JSON. For tests and for people with a terminal.

use std::sync::Arc;

use althing_media_core::DropReason;
use althing_media_core::Router;
use althing_media_core::router::RouterStats;
use althing_media_net::{NetStats, Worker};
use althing_signalling::Signalling;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router as Routes};
use serde_json::{Map, Value, json};

/// Reasons by the name under which they are told.
const REASONS: [(&str, DropReason); 14] = [
    ("unknown_protocol", DropReason::UnknownProtocol),
    ("unknown_source", DropReason::UnknownSource),
    ("stun_rejected", DropReason::StunRejected),
    ("dtls_rejected", DropReason::DtlsRejected),
    ("not_ready", DropReason::NotReady),
    ("malformed", DropReason::Malformed),
    ("unauthentic", DropReason::Unauthentic),
    ("replayed", DropReason::Replayed),
    ("unknown_stream", DropReason::UnknownStream),
    ("limit_reached", DropReason::LimitReached),
    ("stale", DropReason::Stale),
    ("muted", DropReason::Muted),
    ("too_long", DropReason::TooLong),
    ("data_rejected", DropReason::DataRejected),
];

struct Sources {
    workers: Vec<Worker<Router>>,
    signalling: Signalling,
}

/// The route.
pub(crate) fn routes(workers: Vec<Worker<Router>>, signalling: Signalling) -> Routes {
    Routes::new()
        .route("/stats", get(read))
        .with_state(Arc::new(Sources { workers, signalling }))
}

async fn read(State(sources): State<Arc<Sources>>) -> Json<Value> {
    let mut net = NetStats::default();
    let mut routers = Vec::new();
    for worker in &sources.workers {
        net.add(&worker.stats());
        // A worker that is busy or gone has no figures now.
        if let Ok(reply) = worker.ask(|router, _| router.stats())
            && let Ok(stats) = reply.await
        {
            routers.push(router(&stats));
        }
    }
    let counts = sources.signalling.counts();
    Json(json!({
        "rooms": counts.rooms,
        "participants": counts.participants,
        "sessions": counts.sessions,
        "webhooks": {
            "delivered": counts.webhooks.delivered,
            "failed": counts.webhooks.failed,
            "lost": counts.webhooks.lost,
            "waiting": counts.webhooks.waiting,
        },
        "routers": routers,
        "net": sockets(&net),
    }))
}

fn router(stats: &RouterStats) -> Value {
    let drops: Map<String, Value> = REASONS
        .iter()
        .map(|(name, reason)| ((*name).to_owned(), stats.drops.of(*reason).into()))
        .collect();
    json!({
        "endpoints": stats.endpoints,
        "tracks": stats.tracks,
        "subscriptions": stats.subscriptions,
        "routes": stats.routes,
        "drops": drops,
    })
}

fn sockets(net: &NetStats) -> Value {
    json!({
        "datagrams_in": net.datagrams_in,
        "datagrams_out": net.datagrams_out,
        "bytes_in": net.bytes_in,
        "bytes_out": net.bytes_out,
        "messages_out": net.messages_out,
        "trains_out": net.trains_out,
        "dropped_send": net.dropped_send_full + net.dropped_send_error + net.dropped_no_socket,
        "dropped_foreign": net.dropped_foreign,
        "handed_over": net.handed_over,
        "tcp_open": net.tcp_open,
        "tcp_frames_in": net.tcp_frames_in,
        "tcp_frames_out": net.tcp_frames_out,
    })
}
