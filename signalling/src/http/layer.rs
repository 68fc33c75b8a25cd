//! Layer selection: which encoding and which frame rate a watcher gets.
//!
//! draft-ietf-wish-whep-03, "Video Layer Selection extension". An encoding is chosen by its RID or by its number, 0 the
//! lowest; widths and heights are not known here, so that `maxWidth` and `maxHeight` are skipped.

use althing_media_core::LayerTarget;
use althing_media_core::payload::MediaKind;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::request::{self, JSON};
use crate::hub::Shared;
use crate::problem::Problem;
use crate::session::{Door, Outlet, Session, SessionId, shown};

/// What a watcher wants; without anything: the best.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selection {
    media_id: Option<MediaId>,
    #[serde(alias = "encodingId")]
    rid: Option<String>,
    spatial_layer_id: Option<u8>,
    temporal_layer_id: Option<u8>,
    max_spatial_layer_id: Option<u8>,
    max_temporal_layer_id: Option<u8>,
}

/// The place of a section among the sections: the draft says a string, some send a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum MediaId {
    Number(usize),
    Text(String),
}

/// Chooses.
pub(super) async fn post(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let token = request::bearer(&headers)?;
    let session = request::authorize_session(&hub, token, &room, &SessionId(id), Door::Whep)?;
    let body = request::text(&headers, body, JSON).await?;
    let malformed = |_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "The body is not a JSON object that selects a layer.",
        )
    };
    let selection: Selection = serde_json::from_str(&body).map_err(malformed)?;
    let outlet = selection.outlet(&session).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "The session has no video section with that mediaId.",
        )
    })?;
    let done = hub.with_room(&room, |room| {
        let rids = shown(room, &session, outlet)
            .map(|track| track.rids.as_slice())
            .unwrap_or_default();
        let layers = selection.layers(rids.iter().map(|rid| rid.0.as_str()))?;
        room.set_layers(session.connection, outlet.subscription, layers);
        Ok(())
    });
    done.unwrap_or_else(|| Err(Problem::no_session()))?;
    Ok(StatusCode::OK)
}

impl Selection {
    fn outlet<'a>(&self, session: &'a Session) -> Option<&'a Outlet> {
        let is_meant = |outlet: &&Outlet| match &self.media_id {
            None => true,
            Some(MediaId::Number(index)) => outlet.index == *index,
            Some(MediaId::Text(text)) => text.parse() == Ok(outlet.index) || outlet.mid.0.as_str() == text.as_str(),
        };
        session
            .outlets
            .iter()
            .filter(|outlet| outlet.kind == MediaKind::Video)
            .find(is_meant)
    }

    /// `rids` are those of the track that is shown, the lowest first.
    fn layers<'a>(&self, mut rids: impl Iterator<Item = &'a str>) -> Result<LayerTarget, Problem> {
        let unknown = || {
            Problem::new(
                StatusCode::CONFLICT,
                "The track that is shown has no encoding with that rid.",
            )
        };
        let encoding = match &self.rid {
            Some(wanted) => Some(
                rids.position(|rid| rid == wanted)
                    .and_then(|at| u8::try_from(at).ok())
                    .ok_or_else(unknown)?,
            ),
            None => None,
        };
        let least = |one: Option<u8>, other: Option<u8>| one.into_iter().chain(other).min().unwrap_or(u8::MAX);
        Ok(LayerTarget {
            spatial: encoding.unwrap_or_else(|| least(self.spatial_layer_id, self.max_spatial_layer_id)),
            temporal: least(self.temporal_layer_id, self.max_temporal_layer_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections() {
        let layers = |text: &str| {
            let selection: Selection = serde_json::from_str(text).unwrap();
            selection
                .layers(["q", "h", "f"].into_iter())
                .map(|target| (target.spatial, target.temporal))
                .ok()
        };
        assert_eq!(layers("{}"), Some((255, 255)));
        assert_eq!(layers(r#"{"mediaId":"0","rid":"h"}"#), Some((1, 255)));
        assert_eq!(
            layers(r#"{"mediaId":1,"encodingId":"f","temporalLayerId":0}"#),
            Some((2, 0))
        );
        assert_eq!(
            layers(r#"{"spatialLayerId":1,"maxSpatialLayerId":0,"maxTemporalLayerId":1}"#),
            Some((0, 1))
        );
        assert_eq!(layers(r#"{"rid":"x"}"#), None);
        assert!(serde_json::from_str::<Selection>(r#"{"rid":1}"#).is_err());
    }
}
