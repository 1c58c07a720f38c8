//! Reads `endpoint.auth`.

use crate::configuration::{ApiKeyPlace, Auth, ClientAuth};

use super::endpoint::{is_token, read_url};
use super::field::Field;
use super::node::NodeValue;
use super::section::{Findings, Section};

pub(super) fn read_auth(field: Field, findings: &mut Findings) -> Option<Auth> {
    #[derive(Clone, Copy)]
    enum Kind {
        None,
        Bearer,
        Basic,
        ApiKey,
        ClientCredentials,
    }
    let words = [
        ("none", Kind::None),
        ("bearer", Kind::Bearer),
        ("basic", Kind::Basic),
        ("api_key", Kind::ApiKey),
        ("oauth2_client_credentials", Kind::ClientCredentials),
    ];
    if matches!(field.node.value, NodeValue::Text(_)) {
        let at = field.clone_place();
        return match field.word(&words, &[], findings)? {
            Kind::None => Some(Auth::None),
            _ => {
                at.problem("expected a mapping with `type` and what that type needs", findings);
                None
            }
        };
    }
    let mut section = Section::open(field, findings)?;
    let Some(kind) = section.take("type") else {
        section.missing(
            "type",
            "write none, bearer, basic, api_key or oauth2_client_credentials",
            findings,
        );
        return None;
    };
    let kind = kind.word(&words, &[], findings)?;
    let auth = match kind {
        Kind::None => Auth::None,
        Kind::Bearer => Auth::Bearer {
            token: needed(&mut section, "token", findings),
        },
        Kind::Basic => Auth::Basic {
            username: needed(&mut section, "username", findings),
            password: needed(&mut section, "password", findings),
        },
        Kind::ApiKey => {
            let places = [("header", ApiKeyPlace::Header), ("query", ApiKeyPlace::Query)];
            let place = match section.take("in") {
                Some(field) => field.word(&places, &[], findings),
                None => {
                    section.missing("in", "write header or query", findings);
                    None
                }
            };
            let name = needed(&mut section, "name", findings);
            if place == Some(ApiKeyPlace::Header) && !name.is_empty() && !is_token(&name) {
                let position = findings.positions.get(&section.path_of("name"));
                findings.problem(
                    position,
                    &section.path_of("name"),
                    format!("{name:?} is no name for a header"),
                );
            }
            Auth::ApiKey {
                place: place.unwrap_or(ApiKeyPlace::Header),
                name,
                value: needed(&mut section, "value", findings),
            }
        }
        Kind::ClientCredentials => read_client_credentials(&mut section, findings),
    };
    section.finish(findings);
    Some(auth)
}

fn read_client_credentials(section: &mut Section, findings: &mut Findings) -> Auth {
    let token_url = match section.take("token_url") {
        Some(field) => read_url(field, findings).unwrap_or_default(),
        None => {
            section.missing("token_url", "write where access tokens are got, https://…", findings);
            String::new()
        }
    };
    let client_id = needed(section, "client_id", findings);
    let client_secret = needed(section, "client_secret", findings);
    let scopes = section.take("scopes").map(|field| {
        let items = field.items_or_one(findings).into_iter();
        items.filter_map(|scope| read_scope(scope, findings)).collect()
    });
    let words = [("basic", ClientAuth::Basic), ("body", ClientAuth::Body)];
    Auth::Oauth2ClientCredentials {
        token_url,
        client_id,
        client_secret,
        scopes: scopes.unwrap_or_default(),
        audience: section.take("audience").and_then(|field| field.filled_text(findings)),
        client_auth: section
            .take("client_auth")
            .and_then(|field| field.word(&words, &[], findings))
            .unwrap_or_default(),
    }
}

fn read_scope(field: Field, findings: &mut Findings) -> Option<String> {
    let at = field.clone_place();
    let scope = field.filled_text(findings)?;
    if !scope.contains("{{") && scope.contains(char::is_whitespace) {
        at.problem("a scope has no spaces; write several as a list", findings);
    }
    Some(scope)
}

fn needed(section: &mut Section, key: &'static str, findings: &mut Findings) -> String {
    match section.take(key) {
        Some(field) => field.private_text(findings).unwrap_or_default(),
        None => {
            section.missing(key, "this type of authentication needs it", findings);
            String::new()
        }
    }
}
