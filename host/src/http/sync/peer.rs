//! Where a request comes from: the address behind proxies that we believe, the web page behind a browser, and whether
//! either of them is this machine. Rules on headers alone.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, header};
use url::Url;

/// The web pages that may sync with a store. Clients that are no browsers name none, and pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page: what lets somebody in is a token, which no browser sends by itself as it would a cookie.
    Any,
    /// Pages that this machine serves.
    Local,
    /// These.
    Only(Vec<String>),
}

/// What an `Origin` that is not text counts as. Browsers write it for pages without an origin.
const OPAQUE: &str = "null";

impl Origins {
    /// Whether a page of `origin` may.
    pub(super) fn allow(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else {
            return true;
        };
        match self {
            Self::Any => true,
            Self::Local => Url::parse(origin)
                .ok()
                .is_some_and(|url| url.host_str().is_some_and(is_local_name)),
            Self::Only(origins) => origins.iter().any(|known| known == origin),
        }
    }
}

/// The page that a browser speaks for.
pub(super) fn origin(headers: &HeaderMap) -> Option<&str> {
    let origin = headers.get(header::ORIGIN)?;
    Some(origin.to_str().unwrap_or(OPAQUE))
}

/// The address that a request counts for: the last one in `X-Forwarded-For` that is not one of the `trusted` proxies.
/// What stands before it may be written by anybody.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut address = peer.to_canonical();
    let values = headers.get_all("x-forwarded-for").iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let mut hops = texts.iter().rev().flat_map(|text| text.rsplit(','));
    while trusted.contains(&address) {
        let Some(hop) = hops.next().and_then(|hop| parse_hop(hop.trim())) else {
            break;
        };
        address = hop;
    }
    address
}

/// What an address is counted as. Whoever has an IPv6 address has the other 2^64 of its network too.
pub(super) fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

/// Whether a request was made on this machine, for this machine. A proxy on this machine speaks for others; and a page
/// from anywhere can name a host of its own that resolves to 127.0.0.1, so the name must be this machine's too.
pub(super) fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let forwarded = |name: &str| {
        name == "forwarded"
            || name == "via"
            || name == "x-real-ip"
            || name.starts_with("x-forwarded-")
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    peer.to_canonical().is_loopback()
        && !headers.keys().any(|name| forwarded(name.as_str()))
        && host.is_some_and(|host| is_local_name(without_port(host)))
}

fn is_local_name(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address stands in brackets.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// Proxies write an address, some with a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a value");
            (HeaderName::from_static(name), value)
        });
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_about_addresses() {
        let forwarded = headers(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2")]);
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(address(ip("9.9.9.9"), &forwarded, &trusted), ip("9.9.9.9"));
        assert_eq!(address(ip("10.0.0.1"), &forwarded, &[]), ip("10.0.0.1"));
        assert_eq!(address(ip("10.0.0.1"), &forwarded, &trusted), ip("2.2.2.2"));
        assert_eq!(
            address(ip("::ffff:10.0.0.1"), &forwarded, &trusted),
            ip("2.2.2.2")
        );
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_the_first_that_is_not() {
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        let of =
            |pairs: &[(&'static str, &str)]| address(ip("10.0.0.1"), &headers(pairs), &trusted);
        assert_eq!(
            of(&[("x-forwarded-for", "6.6.6.6, 3.3.3.3:4711, 10.0.0.2")]),
            ip("3.3.3.3")
        );
        assert_eq!(
            of(&[
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-for", "[2001:db8::1]:80,10.0.0.2")
            ]),
            ip("2001:db8::1")
        );
        // What cannot be read ends the chain: the proxy that wrote it counts.
        assert_eq!(
            of(&[("x-forwarded-for", "6.6.6.6, unknown")]),
            ip("10.0.0.1")
        );
        assert_eq!(
            of(&[("x-forwarded-for", "unknown, 10.0.0.2")]),
            ip("10.0.0.2")
        );
        assert_eq!(of(&[]), ip("10.0.0.1"));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        assert_eq!(counted_as(ip("2001:db8:1:2:3::4")), ip("2001:db8:1:2::"));
        assert_eq!(counted_as(ip("::ffff:1.2.3.4")), ip("1.2.3.4"));
        assert_eq!(counted_as(ip("1.2.3.4")), ip("1.2.3.4"));
    }

    #[test]
    fn a_request_is_local_only_if_peer_and_host_are_and_no_proxy_was_on_the_way() {
        let local =
            |peer: &str, pairs: &[(&'static str, &str)]| is_local(ip(peer), &headers(pairs));
        for host in [
            "localhost",
            "LOCALHOST:7070",
            "127.0.0.1:7070",
            "[::1]",
            "[::1]:7070",
            "127.8.0.1",
        ] {
            assert!(local("127.0.0.1", &[("host", host)]), "{host}");
            assert!(local("::1", &[("host", host)]), "{host}");
            assert!(!local("192.168.0.1", &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7070",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]:1",
            "",
        ] {
            assert!(!local("127.0.0.1", &[("host", host)]), "{host}");
        }
        assert!(!local("127.0.0.1", &[]));
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-real-ip",
            "via",
        ] {
            let pairs = [("host", "localhost"), (name, "127.0.0.1")];
            assert!(!local("127.0.0.1", &pairs), "{name}");
        }
    }

    #[test]
    fn pages_pass_by_their_origin_and_who_is_no_page_passes() {
        let only = Origins::Only(vec!["https://app.example.com".to_owned()]);
        assert!(only.allow(None) && Origins::Local.allow(None));
        assert!(only.allow(Some("https://app.example.com")));
        for other in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://evil.example",
            "null",
            "",
        ] {
            assert!(!only.allow(Some(other)), "{other}");
            assert!(Origins::Any.allow(Some(other)), "{other}");
        }
        for local in [
            "http://localhost:5173",
            "http://127.0.0.1",
            "https://[::1]:1",
        ] {
            assert!(Origins::Local.allow(Some(local)), "{local}");
        }
        for far in [
            "http://localhost.evil.example",
            "null",
            "http://10.0.0.1",
            "file://",
        ] {
            assert!(!Origins::Local.allow(Some(far)), "{far}");
        }
    }
}
