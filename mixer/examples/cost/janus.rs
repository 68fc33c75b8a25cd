//! Janus' AudioBridge with participants of plain RTP, by its HTTP interface.

use std::error::Error;
use std::net::SocketAddr;

use althing_testkit::client::http::{Url, request};
use serde_json::{Value, json};

use crate::talk::{LEVEL, PT};

/// A room, in a session of its own.
pub(crate) struct Bridge {
    session: Url,
    room: u32,
}

impl Bridge {
    pub(crate) fn open(port: u16, room: u32) -> Result<Self, Box<dyn Error>> {
        let base = format!("http://127.0.0.1:{port}/janus");
        let url = Url::parse(&base).ok_or("no address")?;
        let session = post(&url, json!({ "janus": "create" }))?["data"]["id"].to_string();
        let session = Url::parse(&format!("{base}/{session}")).ok_or("no session")?;
        let bridge = Self { session, room };
        let body = json!({
            "request": "create", "room": room, "sampling_rate": 48_000, "allow_rtp_participants": true,
            "audiolevel_event": false,
        });
        post(&bridge.handle()?, json!({ "janus": "message", "body": body }))?;
        Ok(bridge)
    }

    /// A participant that takes its packets at `port`; where it must send.
    pub(crate) fn join(&self, port: u16) -> Result<SocketAddr, Box<dyn Error>> {
        let rtp = json!({
            "ip": "127.0.0.1", "port": port, "payload_type": PT.value(), "audiolevel_ext": LEVEL, "fec": false,
        });
        let body = json!({ "request": "join", "room": self.room, "rtp": rtp });
        post(&self.handle()?, json!({ "janus": "message", "body": body }))?;
        // The answer comes as an event of the session; others may come before it.
        for _ in 0..1000 {
            let event = json_in(&request("GET", &self.session, &[], "")?.body)?;
            let data = &event["plugindata"]["data"];
            if let (Some(ip), Some(port)) = (data["rtp"]["ip"].as_str(), data["rtp"]["port"].as_u64()) {
                let ip = if ip == "0.0.0.0" { "127.0.0.1" } else { ip };
                return Ok(SocketAddr::new(ip.parse()?, u16::try_from(port)?));
            }
            if let Some(error) = data["error"].as_str() {
                return Err(error.into());
            }
        }
        Err("the AudioBridge does not answer".into())
    }

    /// Ends the session, with all that is in it.
    pub(crate) fn close(self) -> Result<(), Box<dyn Error>> {
        post(&self.session, json!({ "janus": "destroy" })).map(drop)
    }

    fn handle(&self) -> Result<Url, Box<dyn Error>> {
        let attached = post(
            &self.session,
            json!({ "janus": "attach", "plugin": "janus.plugin.audiobridge" }),
        )?;
        Ok(Url::parse(&format!("{}/{}", self.session, attached["data"]["id"])).ok_or("no handle")?)
    }
}

fn post(url: &Url, mut body: Value) -> Result<Value, Box<dyn Error>> {
    body["transaction"] = json!("cost");
    let headers = [("content-type", "application/json")];
    let answer = json_in(&request("POST", url, &headers, &body.to_string())?.body)?;
    if answer["janus"] == "error" {
        return Err(answer.to_string().into());
    }
    Ok(answer)
}

/// The object in a response, which comes as a chunk with its length around it (RFC 9112 §7.1).
fn json_in(body: &str) -> Result<Value, Box<dyn Error>> {
    let (first, last) = body.find('{').zip(body.rfind('}')).ok_or("no answer")?;
    Ok(serde_json::from_str(&body[first..=last])?)
}
