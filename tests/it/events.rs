//! Arbitrary events, made from bytes: proptest shrinks the bytes, and with them the event.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "any number will do"
)]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use authtap::model::auth::{
    AuthField, Basic, Bearer, Fault, Jwt, Kerberos, Ntlm, NtlmAuthenticate, NtlmChallenge, NtlmNegotiate, NtlmResponse,
    Scheme, Spnego, TargetInfo, Token, Version,
};
use authtap::model::event::{
    ConnectionClose, ConnectionOpen, Event, Exchange, Gap, GapWhat, HalfClose, Handshake, Interim, Leg, Link,
    LinkProof, Outcome, Start, Times, Totals, What,
};
use authtap::model::finding::{Basis, Evidence, Finding, Severity};
use authtap::model::http::{Header, LongHead, Request, Response};
use authtap::model::page::{Page, PageAuthor, PageDetail};
use authtap::model::transport::{Addresses, By, Certificate, End, How, Tls};
use authtap::model::{ConnectionId, FileTime, HandshakeId, Stamp};

/// Bytes that are used up to decide. At their end everything is zero, empty, absent.
pub(crate) struct Entropy<'a>(pub(crate) &'a [u8]);

impl Entropy<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn num(&mut self) -> u64 {
        let length = self.byte() % 9;
        (0..length).fold(0, |n, _| n << 8 | u64::from(self.byte()))
    }

    fn num32(&mut self) -> u32 {
        self.num() as u32
    }

    fn size(&mut self) -> usize {
        self.num32() as usize
    }

    fn yes(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()].clone()
    }

    fn opt<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| f(self))
    }

    fn vec<T>(&mut self, mut f: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() % 4).map(|_| f(self)).collect()
    }

    fn text(&mut self) -> String {
        const CHARS: [char; 16] = [
            'a',
            'Z',
            '0',
            ' ',
            '"',
            '\\',
            '\n',
            '\0',
            '\u{1b}',
            'ü',
            '本',
            '\u{1f600}',
            '\u{2028}',
            '/',
            '=',
            '\u{fffd}',
        ];
        (0..self.byte() % 9).map(|_| self.one(&CHARS)).collect()
    }

    fn opt_text(&mut self) -> Option<String> {
        self.opt(Self::text)
    }

    fn stamp(&mut self) -> Stamp {
        match self.byte() % 8 {
            0 => Stamp(self.num() as i64),
            _ => Stamp(1_700_000_000_000_000 + (self.num() % 1_000_000_000_000) as i64),
        }
    }

    fn file_time(&mut self) -> FileTime {
        match self.byte() % 4 {
            0 => FileTime(self.num()),
            _ => FileTime(133_000_000_000_000_000 + self.num() % 10_000_000_000_000),
        }
    }

    fn addr(&mut self) -> SocketAddr {
        let ip: IpAddr = if self.yes() {
            std::net::Ipv4Addr::from(self.num32()).into()
        } else {
            std::net::Ipv6Addr::from(u128::from(self.num()) << 64 | u128::from(self.num())).into()
        };
        SocketAddr::new(ip, self.num() as u16)
    }

    fn conn(&mut self) -> ConnectionId {
        ConnectionId(self.num())
    }

    fn certificate(&mut self) -> Certificate {
        Certificate {
            subject: self.text(),
            issuer: self.text(),
            names: self.vec(Self::text),
            not_after: self.text(),
            signature_algorithm: self.text(),
            sha256: self.text(),
            end_point: self.text(),
            end_point_hash: self.text(),
            channel_bindings: self.vec(Self::text),
        }
    }

    fn tls(&mut self) -> Tls {
        Tls {
            version: self.opt_text(),
            cipher: self.opt_text(),
            sni: self.opt_text(),
            alpn_offered: self.vec(Self::text),
            alpn_chosen: self.opt_text(),
            certificate: self.opt(Self::certificate),
            verification: self.opt_text(),
            alert: self.opt_text(),
            client_certificate_requested: self.yes(),
        }
    }

    fn version(&mut self) -> Version {
        Version { major: self.byte(), minor: self.byte(), build: self.num() as u16 }
    }

    fn target_info(&mut self) -> TargetInfo {
        TargetInfo {
            nb_computer_name: self.opt_text(),
            nb_domain_name: self.opt_text(),
            dns_computer_name: self.opt_text(),
            dns_domain_name: self.opt_text(),
            dns_tree_name: self.opt_text(),
            av_flags: self.opt(Self::num32),
            timestamp: self.opt(Self::file_time),
            machine: self.opt_text(),
            target_name: self.opt_text(),
            channel_binding: self.opt_text(),
            others: self.vec(|e| (e.num() as u16, e.size())),
        }
    }

    fn ntlm(&mut self) -> Ntlm {
        use NtlmResponse as R;
        match self.byte() % 4 {
            0 => Ntlm::Unreadable,
            1 => Ntlm::Negotiate(NtlmNegotiate {
                flags: self.num32(),
                domain: self.opt_text(),
                workstation: self.opt_text(),
                version: self.opt(Self::version),
            }),
            2 => Ntlm::Challenge(NtlmChallenge {
                flags: self.num32(),
                target_name: self.opt_text(),
                target_info: self.opt(Self::target_info),
                version: self.opt(Self::version),
            }),
            _ => Ntlm::Authenticate(NtlmAuthenticate {
                flags: self.num32(),
                domain: self.text(),
                user: self.text(),
                workstation: self.text(),
                version: self.opt(Self::version),
                response: self.one(&[R::V2, R::V1, R::V1Ess, R::Lm, R::Anonymous, R::Unreadable]),
                nt_response_bytes: self.size(),
                lm_response_bytes: self.size(),
                session_key_bytes: self.size(),
                mic_present: self.yes(),
                target_info: self.opt(Self::target_info),
                response_time: self.opt(Self::file_time),
            }),
        }
    }

    fn token(&mut self, depth: u8) -> Token {
        match self.byte() % 7 {
            0 => Token::Unknown,
            1 => Token::Ntlm(Box::new(self.ntlm())),
            2 => Token::Spnego(Box::new(Spnego {
                message: self.text(),
                mechs: self.vec(Self::text),
                neg_state: self.opt_text(),
                supported_mech: self.opt_text(),
                inner: if depth == 0 { None } else { self.opt(|e| Box::new(e.token(depth - 1))) },
                mech_list_mic: self.yes(),
                req_flags: self.vec(Self::text),
                hint_name: self.opt_text(),
                negoex: self.vec(Self::text),
            })),
            3 => Token::Kerberos(Box::new(Kerberos {
                message: self.text(),
                realm: self.opt_text(),
                sname: self.opt_text(),
                sname_type: self.opt(|e| e.num() as i32),
                ticket_etype: self.opt(|e| e.num() as i32),
                kvno: self.opt(|e| e.num() as i64),
                rodc: self.opt(|e| e.num() as u16),
                ticket_bytes: self.opt(Self::size),
                ticket: self.opt_text(),
                request: self.opt_text(),
                authenticator_etype: self.opt(|e| e.num() as i32),
                authenticator_bytes: self.opt(Self::size),
                ap_options: self.vec(Self::text),
                error_code: self.opt(|e| e.num() as i32),
                error_name: self.opt_text(),
                server_time: self.opt_text(),
                client_time: self.opt_text(),
                client_realm: self.opt_text(),
                client_name: self.opt_text(),
                error_text: self.opt_text(),
                error_data_type: self.opt(|e| e.num() as i32),
                error_data_bytes: self.opt(Self::size),
                error_status: self.opt(Self::num32),
            })),
            4 => Token::Basic(Basic { user: self.opt_text(), charset: self.opt_text() }),
            5 => Token::Digest,
            _ => Token::Bearer(Bearer { is_jwt: self.yes(), jwt: self.opt(|e| Box::new(e.jwt())) }),
        }
    }

    fn jwt(&mut self) -> Jwt {
        Jwt {
            alg: self.opt_text(),
            typ: self.opt_text(),
            kid: self.opt_text(),
            encrypted: self.yes(),
            issuer: self.opt_text(),
            audience: self.vec(Self::text),
            expires: self.opt(Self::stamp),
            not_before: self.opt(Self::stamp),
            issued: self.opt(Self::stamp),
            client: self.opt_text(),
            scopes: self.vec(Self::text),
            roles: self.vec(Self::text),
            other_claims: self.vec(Self::text),
        }
    }

    fn auth(&mut self) -> AuthField {
        let names = ["NTLM", "negotiate", "Nego2", "Kerberos", "BASIC", "Digest", "Bearer", "X-own"];
        AuthField {
            scheme: Scheme::of(self.one(&names)),
            scheme_as_sent: self.text(),
            token: if self.yes() { self.token(2) } else { Token::None },
            token_bytes: self.size(),
            params: self.vec(|e| (e.one(&["realm", "nonce", "x"]).to_owned(), e.text())),
            faults: self.vec(|e| Fault { offset: e.size(), field: e.text(), expected: e.text(), got: e.text() }),
        }
    }

    fn headers(&mut self) -> Vec<Header> {
        self.vec(|e| Header { name: e.text(), value: e.text() })
    }

    fn page(&mut self) -> Page {
        Page {
            author: self.one(&PageAuthor::ALL),
            basis: self.one(&[Basis::Observed, Basis::Inferred, Basis::Suspected]),
            sign: self.text().into(),
            back_end: self.opt_text().map(Into::into),
            says: self.opt_text().map(Into::into),
            detail: self.opt(|e| {
                Box::new(PageDetail {
                    status: e.opt(|e| e.num() as u16),
                    substatus: e.opt(|e| e.num() as u16),
                    hresult: e.opt(Self::num32),
                    build: e.opt(Self::num32),
                    iis_version: e.opt_text(),
                    module: e.opt_text(),
                    notification: e.opt_text(),
                    handler: e.opt_text(),
                    logon_method: e.opt_text(),
                    logon_user: e.opt_text(),
                    logged_on: e.opt(Self::yes),
                    shows_url: e.yes(),
                    shows_physical_path: e.yes(),
                })
            }),
        }
    }

    fn exchange(&mut self) -> Exchange {
        let response = self.opt(|e| Response {
            status: e.num() as u16,
            reason: e.text(),
            version: e.text(),
            headers: e.headers(),
            page: e.opt(Self::page),
        });
        Exchange {
            connection: self.conn(),
            exchange: self.num32(),
            request: Request {
                method: self.text(),
                target: self.text(),
                version: self.text(),
                headers: self.headers(),
                long_head: self.opt(|e| {
                    Box::new(LongHead { bytes: e.num(), whole: e.yes(), field: e.text(), field_bytes: e.num() })
                }),
            },
            request_body: self.num(),
            // A response that never came has no body.
            response_body: if response.is_some() { self.num() } else { 0 },
            response,
            reset: self.opt(|e| e.num() as u32),
            interim: self.vec(|e| Interim { status: e.num() as u16, at: Some(e.stamp()) }),
            authorization: self.opt(Self::auth),
            challenges: self.vec(Self::auth),
            times: Times {
                request: self.stamp(),
                request_head: self.stamp(),
                request_body: self.opt(Self::stamp),
                request_end: self.opt(Self::stamp),
                response_head: self.opt(Self::stamp),
                response_body: self.opt(Self::stamp),
                end: self.opt(Self::stamp),
            },
            leg: self.opt_text(),
            end_seq: self.opt(Self::num),
        }
    }

    fn handshake(&mut self) -> Handshake {
        use LinkProof as P;
        use Outcome as O;
        Handshake {
            handshake: HandshakeId(self.num()),
            scheme: self.text(),
            outcome: self.one(&[O::Authenticated, O::Rejected, O::Broken, O::Abandoned]),
            user: self.opt_text(),
            server: self.opt_text(),
            legs: self.vec(|e| Leg { connection: e.conn(), exchange: e.num32(), message: e.text(), at: e.stamp() }),
            links: self.vec(|e| Link {
                challenge: (e.conn(), e.num32()),
                authenticate: (e.conn(), e.num32()),
                proof: e.one(&[P::Timestamp, P::ResponseTime, P::Names, P::Order]),
            }),
        }
    }

    fn gap(&mut self) -> Gap {
        Gap {
            connection: self.opt(Self::conn),
            what: match self.byte() % 6 {
                0 => GapWhat::QueueFull { dropped: self.num() },
                1 => GapWhat::Unparsable {
                    from: self.one(&["client", "upstream"]),
                    offset: self.num(),
                    why: self.text(),
                },
                2 => GapWhat::LimitReached { memory: self.text(), most: self.num() },
                3 => GapWhat::ObserverLost { why: self.text() },
                4 => GapWhat::PacketsMissing {
                    from: self.one(&["client", "upstream"]),
                    offset: self.num(),
                    bytes: self.num(),
                },
                _ => GapWhat::SinkFailed { sink: self.text(), dropped: self.num(), why: self.text() },
            },
        }
    }

    fn close(&mut self) -> ConnectionClose {
        ConnectionClose {
            connection: self.conn(),
            end: End {
                by: self.one(&[By::Client, By::Upstream, By::Tap]),
                how: self.one(&[How::Fin, How::Reset, How::Timeout, How::TlsAlert, How::Error]),
                errno: self.opt(|e| e.num() as i32),
                detail: self.opt_text(),
            },
            mid_handshake: self.yes(),
            client_bytes: self.num(),
            upstream_bytes: self.num(),
            exchanges: self.num32(),
            duration: Duration::from_micros(self.num()),
        }
    }

    pub(crate) fn finding(&mut self) -> Finding {
        Finding {
            slug: self.text(),
            severity: self.one(&Severity::ALL),
            basis: self.one(&[Basis::Observed, Basis::Inferred, Basis::Suspected]),
            title: self.text(),
            summary: self.text(),
            scheme: self.opt_text(),
            root: self.opt_text(),
            connections: self.vec(Self::conn),
            evidence: self.vec(|e| Evidence {
                primary: e.yes(),
                connection: e.opt(Self::conn),
                exchange: e.opt(Self::num32),
                message: e.opt_text(),
                at: e.opt(Self::stamp),
                frame: None,
                says: e.text(),
            }),
            fix: self.text(),
        }
    }

    /// An event of any kind.
    pub(crate) fn event(&mut self) -> Event {
        let what = match self.byte() % 9 {
            0 => What::Stop(Totals {
                connections: self.num(),
                exchanges: self.num(),
                authenticated: self.num32().into(),
                rejected: self.num32().into(),
                broken: self.num32().into(),
                abandoned: self.num32().into(),
                findings: self.num(),
                dropped: self.num(),
                blind: self.num(),
                paired: self.num(),
            }),
            1 => What::Start(Box::new(Start {
                version: self.text(),
                listen: self.vec(Self::addr),
                upstream: self.vec(Self::text),
                certificate: self.opt(Self::certificate),
                upstream_certificate: self.opt(Self::certificate),
                self_checks: self.vec(|e| (e.text(), e.text())),
            })),
            2 => What::ConnectionOpen(Box::new(ConnectionOpen {
                connection: self.conn(),
                addresses: Addresses {
                    client: self.addr(),
                    upstream: self.opt(Self::addr),
                    upstream_local: self.opt(Self::addr),
                },
                tls: self.opt(Self::tls),
                upstream_tls: self.opt(Self::tls),
                begun_before: false,
            })),
            3 => What::Exchange(Box::new(self.exchange())),
            4 => What::Handshake(Box::new(self.handshake())),
            5 => What::Gap(self.gap()),
            8 => What::ConnectionHalfClose(HalfClose {
                connection: self.conn(),
                by: self.one(&[By::Client, By::Upstream, By::Tap]),
            }),
            6 => What::ConnectionClose(Box::new(self.close())),
            _ => What::Finding(Box::new(self.finding())),
        };
        Event { seq: self.num(), at: self.stamp(), what }
    }
}

/// A fixed spread of events of all kinds, for the schemas.
pub(crate) fn samples() -> Vec<Event> {
    (0..2_000u64)
        .map(|n| {
            // A multiplicative congruential generator: enough to reach every field.
            let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut bytes = vec![n as u8];
            bytes.extend((0..600).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            }));
            Entropy(&bytes).event()
        })
        .collect()
}
