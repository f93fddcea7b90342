//! What can go wrong between asking and a checked file, and what it means for the exit code.

use serde::Deserialize;

use crate::failure::Failure;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line.
    #[error("{message}")]
    Usage {
        /** what is wrong with it */
        message: String,
    },
    /// The connection.
    #[error("{doing}")]
    Transport {
        /** what could not be done */
        doing: String,
        /** why */
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is none of the contract's.
    #[error("{doing}: {reason}")]
    Answer {
        /** what could not be done */
        doing: String,
        /** why */
        reason: String,
    },
    /// The service said no.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error code, if there was one.
        code: String,
        /// The service's message, with the place in the filter.
        message: String,
        /// Where in the filter: characters from the start, and how many.
        place: Option<(usize, usize)>,
        /// To ask the operator about.
        request_id: String,
    },
    /// The Export was given up.
    #[error("export {id} failed: {message} ({code})")]
    Failed {
        /** which */
        id: String,
        /** the code */
        code: String,
        /** why */
        message: String,
        /** whether asking again may help */
        retryable: bool,
    },
    /// The file is not what the manifest says.
    #[error("the downloaded file is not what the manifest says: {what}")]
    Mismatch {
        /** the difference */
        what: String,
    },
    /// Reading or writing here.
    #[error("{doing}")]
    Io {
        /** what could not be done */
        doing: String,
        /** why */
        #[source]
        source: std::io::Error,
    },
}

#[derive(Deserialize)]
struct Body {
    error: Refusal,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    message: String,
    #[serde(default)]
    offset: Option<usize>,
    #[serde(default)]
    length: Option<usize>,
    #[serde(default)]
    nearest: Vec<String>,
}

impl Error {
    /// An error answer, read.
    pub async fn refused(response: reqwest::Response) -> Self {
        let status = response.status();
        let header = response.headers().get("Request-ID").and_then(|v| v.to_str().ok());
        let request_id = header.unwrap_or_default().to_owned();
        let body = response.bytes().await.unwrap_or_default();
        let Ok(Body { error: Refusal { code, mut message, target, details } }) = serde_json::from_slice(&body) else {
            let message = format!("the service answered {status}");
            return Self::Refused { status: status.as_u16(), code: String::new(), message, place: None, request_id };
        };
        let mut place = None;
        for Detail { message: more, offset, length, nearest } in details {
            if !more.is_empty() && !message.contains(&more) {
                message = format!("{message}\n{more}");
            }
            if nearest.iter().any(|name| !message.contains(name)) {
                message = format!("{message}\ndid you mean {}?", nearest.join(" or "));
            }
            if target.as_deref() == Some("$filter") {
                place = place.or(offset.zip(Some(length.unwrap_or(0))));
            }
        }
        Self::Refused { status: status.as_u16(), code, message, place, request_id }
    }

    /// Shows the place in the filter that the service points at.
    #[must_use]
    pub fn with_filter(self, filter: Option<&str>) -> Self {
        match (self, filter) {
            (Self::Refused { status, code, message, place: Some(place), request_id }, Some(filter)) => {
                let message = format!("{message}\n{}", point_at(filter, place));
                Self::Refused { status, code, message, place: Some(place), request_id }
            }
            (other, _) => other,
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { .. } | Self::Mismatch { .. } | Self::Io { .. } => 1,
            Self::Usage { .. } | Self::Transport { .. } | Self::Answer { .. } | Self::Refused { .. } => 2,
        }
    }

    fn way_out(&self) -> Option<String> {
        match self {
            Self::Refused { status: 401, .. } => {
                Some("give a token that the service accepts: --token, or PAYOUTS_TOKEN. With --dev: payouts token --data DIR --tenant ID".into())
            }
            Self::Refused { status: 500.., request_id, .. } => Some(format!("try again later; the operator finds request {request_id} in the log")),
            Self::Refused { .. } | Self::Answer { .. } | Self::Usage { .. } => None,
            Self::Transport { .. } => Some("is the service running, and is --url right? The same command continues a download".into()),
            Self::Failed { retryable, .. } => retryable.then(|| "the same request may succeed later".into()),
            Self::Mismatch { .. } => Some("the file was thrown away; ask again, and if it stays tell the operator".into()),
            Self::Io { .. } => Some("check that the folder of --out exists, that you may write there, and that there is room".into()),
        }
    }
}

/// One line of the filter around the place, and carets under it.
fn point_at(filter: &str, (offset, length): (usize, usize)) -> String {
    const AROUND: usize = 36;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let start = offset.saturating_sub(AROUND);
    let shown: String = filter.chars().skip(start).take(2 * AROUND).map(plain).collect();
    let carets = "^".repeat(length.clamp(1, AROUND));
    format!("  {shown}\n  {}{carets}", " ".repeat(offset - start))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit_code, way_out) = (error.exit_code(), error.way_out());
        let message = match &error {
            Error::Refused { status, code, message, .. } if !code.is_empty() => {
                format!("the service refused ({status} {code}): {message}")
            }
            other => other.to_string(),
        };
        let mut failure = Self::new(message);
        failure.exit_code = exit_code;
        failure = match error {
            Error::Transport { source, .. } => failure.because(source),
            Error::Io { source, .. } => failure.because(source),
            _ => failure,
        };
        match way_out {
            Some(text) => failure.try_this(text),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_the_place() {
        assert_eq!(point_at("paymntId eq 1", (0, 8)), "  paymntId eq 1\n  ^^^^^^^^");
        assert_eq!(point_at("a eq", (4, 0)), "  a eq\n      ^");
        let long = format!("{}x", "a".repeat(100));
        assert!(point_at(&long, (100, 1)).ends_with(&format!("\n  {}^", " ".repeat(36))));
    }
}
