//! Content types: everything is JSON, and who asks for something else, or sends it, is told so as Jersey tells it.

use axum::http::{HeaderMap, header};

/// Whether the client takes JSON, or a page. Like Jersey, without a look at `q=0`.
pub(crate) fn accepts(headers: &HeaderMap, page: bool) -> bool {
    let mut asked = headers.get_all(header::ACCEPT).iter().peekable();
    asked.peek().is_none()
        || asked
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|range| match essence(range).as_str() {
                "application/json" | "application/*" => !page,
                "text/html" | "text/*" => page,
                "*/*" | "*" => true,
                _ => false,
            })
}

/// What kind of body the client says that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It does not say.
    Nothing,
    Json,
    Other,
}

pub(crate) fn sent(headers: &HeaderMap) -> Sent {
    match headers.get(header::CONTENT_TYPE) {
        None => Sent::Nothing,
        Some(value) if value.to_str().is_ok_and(|text| essence(text) == "application/json") => Sent::Json,
        Some(_) => Sent::Other,
    }
}

fn essence(range: &str) -> String {
    let (essence, _) = range.split_once(';').unwrap_or((range, ""));
    essence.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn json_is_taken_and_sent() {
        for (accept, takes) in [
            ("application/json", true),
            ("text/html, */*;q=0.1", true),
            ("application/*", true),
            ("APPLICATION/JSON;charset=utf-8", true),
            ("text/html", false),
            ("garbage", false),
        ] {
            assert_eq!(accepts(&headers(header::ACCEPT, accept), false), takes, "{accept}");
        }
        assert!(accepts(&HeaderMap::new(), false));
        assert!(accepts(&headers(header::ACCEPT, "text/html"), true));
        assert!(!accepts(&headers(header::ACCEPT, "application/json"), true));
        for (content, kind) in [
            ("application/json; charset=utf-8", Sent::Json),
            ("application/vnd.x+json", Sent::Other),
            ("application/x-www-form-urlencoded", Sent::Other),
            ("application/*", Sent::Other),
        ] {
            assert_eq!(sent(&headers(header::CONTENT_TYPE, content)), kind, "{content}");
        }
        assert_eq!(sent(&HeaderMap::new()), Sent::Nothing);
    }
}
