//! The body of a request: read whole, within bounds of length and time.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::StatusCode;
use tokio::time::timeout;

use crate::problem::Problem;

/// How long a body may take to come. The longest one is no second's work on a line that carries a voice.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than so many bytes.
    TooLong(usize),
    /// It did not come in time.
    TooSlow,
}

/// The whole body, of at most `most` bytes.
pub(crate) async fn read(body: Body, most: usize) -> Result<Bytes, BodyError> {
    read_within(body, most, PATIENCE).await
}

async fn read_within(body: Body, most: usize, patience: Duration) -> Result<Bytes, BodyError> {
    // The only error of reading that can still be answered is that it is too long; the other is that nobody is there any more.
    match timeout(patience, to_bytes(body, most)).await {
        Ok(read) => read.map_err(|_| BodyError::TooLong(most)),
        Err(_) => Err(BodyError::TooSlow),
    }
}

impl BodyError {
    /// What the client is told.
    pub(crate) fn sentence(self) -> String {
        match self {
            Self::TooLong(most) => format!("The body is longer than {most} bytes."),
            Self::TooSlow => format!("The body did not come within {} seconds.", PATIENCE.as_secs()),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        };
        Self::new(status, error.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_no_longer_than_it_should() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let no_time = Duration::from_millis(1);
        assert_eq!(read_within(never, 10, no_time).await, Err(BodyError::TooSlow));
        assert_eq!(read(Body::from("eleven char"), 10).await, Err(BodyError::TooLong(10)));
        assert_eq!(read(Body::from("ten chars."), 10).await.unwrap(), "ten chars.");
    }
}
