//! Which product a hop is, where it says so itself.

use crate::model::http::{Request, Response};
use crate::model::short::short;

/// Fields that only one product adds to requests, in lower case.
const REQUEST_FIELDS: [(&str, &str); 12] = [
    ("cdn-loop", "a CDN"),
    ("cf-ray", "Cloudflare"),
    ("fastly-client-ip", "Fastly"),
    ("x-amzn-trace-id", "an AWS load balancer or service"),
    ("x-appgw-trace-id", "Azure Application Gateway"),
    ("x-arr-log-id", "IIS Application Request Routing"),
    ("x-arr-ssl", "IIS Application Request Routing"),
    ("x-azure-fdid", "Azure Front Door"),
    ("x-bluecoat-via", "Blue Coat ProxySG"),
    ("x-envoy-expected-rq-timeout-ms", "Envoy"),
    ("x-envoy-external-address", "Envoy"),
    ("x-ms-proxy", "a Microsoft application proxy"),
];

/// Words of `Via` that name a product, in lower case.
const VIA: [(&str, &str); 7] = [
    ("apachetrafficserver", "Apache Traffic Server"),
    (" caddy", "Caddy"),
    ("cloudfront", "Amazon CloudFront"),
    ("1.1 google", "Google Cloud Load Balancing"),
    ("ns-cache", "Citrix NetScaler"),
    ("squid", "Squid"),
    ("varnish", "Varnish"),
];

/// Affinity cookies and their like, by the beginning of the name.
const COOKIES: [(&str, &str); 8] = [
    ("ApplicationGatewayAffinity", "Azure Application Gateway"),
    ("ARRAffinity", "IIS Application Request Routing or Azure App Service"),
    ("AWSALB", "an AWS load balancer"),
    ("AWSELB", "an AWS load balancer"),
    ("BIGipServer", "F5 BIG-IP"),
    ("citrix_ns_id", "Citrix NetScaler"),
    ("NSC_", "Citrix NetScaler"),
    ("incap_ses_", "Imperva"),
];

/// `Server` of answers that a hop wrote or signed, by its beginning in lower case. A web server that may be the site's own (nginx,
/// Apache) is not among them.
const SERVERS: [(&str, &str); 9] = [
    ("akamaighost", "Akamai"),
    ("awselb", "an AWS load balancer"),
    ("big-ip", "F5 BIG-IP"),
    ("bigip", "F5 BIG-IP"),
    ("cloudflare", "Cloudflare"),
    ("cloudfront", "Amazon CloudFront"),
    ("envoy", "Envoy"),
    ("istio-envoy", "Envoy (Istio)"),
    ("microsoft-azure-application-gateway", "Azure Application Gateway"),
];

/// The products that a request names: they stand before authtap, or it has met their cookie before.
pub(in crate::finding) fn of_request(request: &Request, mut found: impl FnMut(&'static str, String)) {
    for header in &request.headers {
        let name = header.name.as_str();
        if name.eq_ignore_ascii_case("via") {
            let value = short(&header.value).to_ascii_lowercase();
            if let Some((_, product)) = VIA.iter().find(|(word, _)| value.contains(word)) {
                found(product, format!("`Via: {}`", short(&header.value)));
            }
        } else if let Some((_, product)) = REQUEST_FIELDS.iter().find(|(field, _)| name.eq_ignore_ascii_case(field)) {
            found(product, format!("the field `{name}`"));
        }
    }
    for (name, _) in request.cookies() {
        if let Some((_, product)) = COOKIES.iter().find(|(start, _)| name.starts_with(start)) {
            found(product, format!("the cookie `{}`", short(name)));
        }
    }
}

/// The products that an answer names: they stand between authtap and the site, or are what answers.
pub(in crate::finding) fn of_response(response: &Response, mut found: impl FnMut(&'static str, String)) {
    for header in &response.headers {
        let name = header.name.as_str();
        if name.eq_ignore_ascii_case("server") {
            let begins = |start: &str| header.value.get(..start.len()).is_some_and(|v| v.eq_ignore_ascii_case(start));
            if let Some((_, product)) = SERVERS.iter().find(|(start, _)| begins(start)) {
                found(product, format!("`Server: {}`", short(&header.value)));
            }
        } else if name.eq_ignore_ascii_case("set-cookie")
            && let Some((name, _)) = header.value.split_once('=')
            && let Some((_, product)) = COOKIES.iter().find(|(start, _)| name.starts_with(start))
        {
            found(product, format!("it sets the cookie `{}`", short(name)));
        }
    }
}

/// Whether a cookie is a balancer's own, by its name.
pub(in crate::finding) fn is_affinity_cookie(name: &str) -> bool {
    COOKIES.iter().any(|(start, _)| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::http::Header;

    fn field(name: &str, value: &str) -> Vec<Header> {
        vec![Header { name: name.to_owned(), value: value.to_owned() }]
    }

    /// A product that is named wrongly sends its reader into the wrong console.
    #[test]
    fn products_are_named_only_where_they_name_themselves() {
        let request = |name, value| {
            let mut out = Vec::new();
            of_request(&Request { headers: field(name, value), ..Request::default() }, |p, _| out.push(p));
            out
        };
        let response = |name, value| {
            let mut out = Vec::new();
            of_response(&Response { headers: field(name, value), ..Response::default() }, |p, _| out.push(p));
            out
        };
        assert_eq!(request("Via", "1.1 proxy.example.test (squid/5.7)"), ["Squid"]);
        assert!(request("Via", "1.1 proxy.example.test").is_empty());
        assert_eq!(request("X-ARR-LOG-ID", "x"), ["IIS Application Request Routing"]);
        assert_eq!(request("Cookie", "a=<1 bytes>; BIGipServerpool=<9 bytes, aa>"), ["F5 BIG-IP"]);
        assert_eq!(response("Server", "Microsoft-Azure-Application-Gateway/v2"), ["Azure Application Gateway"]);
        assert!(response("Server", "Microsoft-IIS/10.0").is_empty() && response("Server", "nginx").is_empty());
        assert_eq!(response("Set-Cookie", "NSC_pool=<9 bytes, aa>; Path=/"), ["Citrix NetScaler"]);
    }
}
