//! Where a redirect leads, and what may go there.

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION,
    PROXY_AUTHORIZATION,
};
use reqwest::{Body, Method, Request, StatusCode};
use testfleet_model::result::{ErrorClass, ErrorDetail};
use url::Url;

use crate::call::Failure;

/// Whether a response of this status sends the caller elsewhere (RFC 9110, section 15.4).
pub(crate) fn is_one(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && headers.contains_key(LOCATION)
}

/// The request that follows `sent`, as browsers make it (the Fetch standard, section 4.4): 303 asks with GET, and so do 301 and
/// 302 after a POST. Another origin gets no credentials: no header that carries one, and no body that does.
///
/// # Errors
/// When the new URL cannot be called, TLS would be left, or a body with credentials would have to go to another origin.
pub(crate) fn follow(
    mut sent: Request,
    status: StatusCode,
    headers: &HeaderMap,
    body_is_secret: bool,
) -> Result<Request, Failure> {
    let refuse = |why: &str| {
        let mut detail = ErrorDetail::new(ErrorClass::Status, format!("the endpoint answered {status}, and {why}"));
        detail.http_status = Some(status.as_u16());
        Failure {
            detail,
            ..Failure::new(ErrorClass::Status, "")
        }
    };
    let location = headers
        .get(LOCATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let target = location.and_then(|location| sent.url().join(&location).ok());
    let Some(mut target) = target.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) else {
        return Err(refuse("its Location is no URL that could be called"));
    };
    target.set_fragment(None);
    if sent.url().scheme() == "https" && target.scheme() == "http" {
        return Err(refuse("would go on without TLS, which is not done"));
    }
    let elsewhere = origin(sent.url()) != origin(&target);
    let asks_anew = match status.as_u16() {
        303 => sent.method() != Method::HEAD,
        301 | 302 => sent.method() == Method::POST,
        _ => false,
    };
    if asks_anew {
        *sent.method_mut() = Method::GET;
        *sent.body_mut() = None::<Body>;
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE] {
            sent.headers_mut().remove(name);
        }
    } else if elsewhere && body_is_secret && sent.body().is_some() {
        return Err(refuse(
            "would send a body with secrets to another origin, which is not done",
        ));
    }
    if elsewhere {
        // Every header that was made of a secret is marked.
        let sensitive: Vec<_> = sent
            .headers()
            .iter()
            .filter(|(_, value)| value.is_sensitive())
            .map(|(name, _)| name.clone())
            .collect();
        for name in sensitive
            .into_iter()
            .chain([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION])
        {
            sent.headers_mut().remove(name);
        }
    } else if target.username().is_empty() && target.password().is_none() {
        // What stands in the URL is a credential of the origin.
        let (name, password) = (
            sent.url().username().to_owned(),
            sent.url().password().map(str::to_owned),
        );
        // Neither fails for a URL with a host.
        let _ = target.set_username(&name);
        let _ = target.set_password(password.as_deref());
    }
    *sent.url_mut() = target;
    Ok(sent)
}

fn origin(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn sent() -> Request {
        let mut request = Request::new(Method::POST, Url::parse("https://me:pw@a.test/one?q=1").unwrap());
        let headers = request.headers_mut();
        headers.insert("x-plain", HeaderValue::from_static("1"));
        let mut key = HeaderValue::from_static("key");
        key.set_sensitive(true);
        headers.insert("x-key", key);
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        headers.insert(COOKIE, HeaderValue::from_static("a=b"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some("{}".into());
        request
    }

    fn next(status: u16, location: &str, body_is_secret: bool) -> Result<Request, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        assert!(is_one(status, &headers));
        follow(sent(), status, &headers, body_is_secret)
    }

    #[test]
    fn the_same_origin_gets_what_was_sent() {
        let next = next(307, "../two#part", true).unwrap();
        assert_eq!(
            (next.method(), next.url().as_str()),
            (&Method::POST, "https://me:pw@a.test/two")
        );
        assert_eq!(next.headers().len(), 5);
        assert!(next.body().is_some());
    }

    #[test]
    fn another_origin_gets_no_credentials() {
        for location in ["https://b.test/", "https://a.test:8443/", "//b.test/"] {
            let next = next(308, location, false).unwrap();
            let names: Vec<_> = next.headers().keys().map(|name| name.as_str()).collect();
            assert_eq!(names, ["x-plain", "content-type"], "{location}");
            assert_eq!(next.url().username(), "");
            assert!(next.body().is_some());
        }
        let failure = next(308, "https://b.test/", true).unwrap_err();
        assert!(
            failure.detail.message.contains("to another origin"),
            "{}",
            failure.detail.message
        );
        assert_eq!(failure.detail.http_status, Some(308));
    }

    #[test]
    fn some_statuses_ask_anew_without_a_body() {
        for (status, anew) in [(301, true), (302, true), (303, true), (307, false), (308, false)] {
            let next = next(status, "/two", true).unwrap();
            assert_eq!(next.method() == Method::GET, anew, "{status}");
            assert_eq!(next.body().is_none(), anew, "{status}");
            assert_eq!(next.headers().contains_key(CONTENT_TYPE), !anew, "{status}");
        }
    }

    #[test]
    fn tls_is_not_left_and_other_schemes_are_not_called() {
        for (location, why) in [
            ("http://a.test/", "without TLS"),
            ("file:///etc/passwd", "no URL"),
            ("http://", "no URL"),
            ("gopher://a.test/", "no URL"),
        ] {
            let failure = next(302, location, false).unwrap_err();
            assert!(
                failure.detail.message.contains(why),
                "{location}: {}",
                failure.detail.message
            );
        }
    }
}
