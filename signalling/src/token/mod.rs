//! Access tokens: who may do what in which room, signed by who runs the service.
//!
//! RFC 7519 (JWT), RFC 7515 (JWS, compact form), HS256 only (RFC 7518 §3.2). The claims are those of the room protocol, so
//! that one token serves every door. Does not ask the clock: the time comes in. Keeps no list of revoked tokens.
//!
//! ```
//! use std::time::Duration;
//! use althing_signalling::token::{Claims, Keys, VideoGrant};
//!
//! let mut keys = Keys::default();
//! keys.insert("devkey", "secret");
//! let now = Duration::from_secs(1_700_000_000);
//! let grant = VideoGrant { room_join: true, room: "assembly".to_owned(), ..VideoGrant::default() };
//! let token = keys.mint("devkey", &Claims::new("ada", grant, now + Duration::from_secs(600))).unwrap();
//! let claims = keys.verify(&token, now).unwrap();
//! assert_eq!(claims.identity(), Some("ada"));
//! assert!(claims.video.joins("assembly") && !claims.video.joins("cabinet"));
//! ```

mod claims;
mod keys;

pub use claims::{Claims, VideoGrant};
pub use keys::{Keys, LEEWAY, MAX_TOKEN_LEN, TokenError};
