//! How a request shows who sends it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::Value;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName};
use secrecy::SecretString;
use testfleet_model::configuration::{ApiKeyPlace, Auth, ClientAuth, Endpoint};
use testfleet_query::Budget;
use url::Url;

use super::{Compiler, HTTP, header_value, parse_url, unrendered};
use crate::language::is_template;
use crate::redaction::PLACEHOLDER;
use crate::template::Template;
use crate::token_request::TokenRequest;

#[derive(Debug)]
pub(super) enum Credentials {
    None,
    Bearer(Template),
    Basic { username: Template, password: Template },
    Header { name: HeaderName, value: Template },
    Query { name: String, value: Template },
    Token(Box<TokenTemplates>),
}

/// What an access token is asked for with.
#[derive(Debug)]
pub(super) struct TokenTemplates {
    url: Template,
    client_id: Template,
    client_secret: Template,
    scopes: Vec<Template>,
    audience: Option<Template>,
    client_auth: ClientAuth,
}

/// Where credentials go.
pub(super) struct Sink<'a> {
    pub(super) url: &'a mut Url,
    pub(super) headers: &'a mut HeaderMap,
    pub(super) recorded_url: &'a mut Url,
    pub(super) recorded: &'a mut BTreeMap<String, String>,
    pub(super) token: &'a mut Option<TokenRequest>,
}

impl Credentials {
    pub(super) fn compile(auth: &Auth, compiler: &mut Compiler<'_>) -> Self {
        let compiled = match auth {
            Auth::None => None,
            Auth::Bearer { token } => compiler.template("endpoint.auth.token".into(), token).map(Self::Bearer),
            Auth::Basic { username, password } => {
                let username = compiler.template("endpoint.auth.username".into(), username);
                let password = compiler.template("endpoint.auth.password".into(), password);
                username
                    .zip(password)
                    .map(|(username, password)| Self::Basic { username, password })
            }
            Auth::ApiKey { place, name, value } => {
                let value = compiler.template("endpoint.auth.value".into(), value);
                match place {
                    ApiKeyPlace::Header => {
                        let header = compiler.header_name("endpoint.auth.name", name);
                        header.zip(value).map(|(name, value)| Self::Header { name, value })
                    }
                    ApiKeyPlace::Query => value.map(|value| Self::Query {
                        name: name.clone(),
                        value,
                    }),
                }
            }
            Auth::Oauth2ClientCredentials {
                token_url,
                client_id,
                client_secret,
                scopes,
                audience,
                client_auth,
            } => {
                if !is_template(token_url)
                    && let Err(message) = parse_url(token_url, HTTP)
                {
                    compiler.problem("endpoint.auth.token_url".into(), message);
                }
                let mut template = |key: &str, source: &str| compiler.template(format!("endpoint.auth.{key}"), source);
                let url = template("token_url", token_url);
                let client_id = template("client_id", client_id);
                let client_secret = template("client_secret", client_secret);
                let scopes = scopes.iter().enumerate();
                let scopes = scopes.filter_map(|(at, scope)| template(&format!("scopes[{at}]"), scope));
                let scopes = scopes.collect();
                let audience = audience.as_ref().and_then(|audience| template("audience", audience));
                url.zip(client_id)
                    .zip(client_secret)
                    .map(|((url, client_id), client_secret)| {
                        Self::Token(Box::new(TokenTemplates {
                            url,
                            client_id,
                            client_secret,
                            scopes,
                            audience,
                            client_auth: *client_auth,
                        }))
                    })
            }
        };
        compiled.unwrap_or(Self::None)
    }

    /// The header that is set.
    pub(super) fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::None | Self::Query { .. } => None,
            Self::Bearer(_) | Self::Basic { .. } | Self::Token(_) => Some(&AUTHORIZATION),
            Self::Header { name, .. } => Some(name),
        }
    }

    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::None => vec![],
            Self::Bearer(template) => vec![template],
            Self::Basic { username, password } => vec![username, password],
            Self::Header { value, .. } | Self::Query { value, .. } => vec![value],
            Self::Token(token) => {
                let first = [&token.url, &token.client_id, &token.client_secret];
                first.into_iter().chain(&token.scopes).chain(&token.audience).collect()
            }
        }
    }

    /// Adds the credentials. When one of them is undefined (an optional secret without a value), none are sent.
    pub(super) fn apply(&self, variables: &Value, budget: &mut Budget, sink: &mut Sink<'_>) -> Result<(), String> {
        let mut texts = Vec::new();
        for template in self.templates() {
            match template
                .text(variables, budget)
                .map_err(|message| unrendered("endpoint.auth", &message))?
            {
                Some(text) => texts.push(text),
                None => return Ok(()),
            }
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (name, value, recorded) = match (self, texts.as_slice()) {
            (Self::Bearer(_), [token]) => (
                &AUTHORIZATION,
                format!("Bearer {token}"),
                format!("Bearer {PLACEHOLDER}"),
            ),
            (Self::Basic { .. }, [username, password]) => {
                if username.contains(':') {
                    return Err("endpoint.auth.username may not contain a colon".into());
                }
                let pair = STANDARD.encode(format!("{username}:{password}"));
                (&AUTHORIZATION, format!("Basic {pair}"), format!("Basic {PLACEHOLDER}"))
            }
            (Self::Header { name, .. }, [value]) => (name, (*value).to_owned(), PLACEHOLDER.to_owned()),
            (Self::Query { name, .. }, [value]) => {
                sink.url.query_pairs_mut().append_pair(name, value);
                sink.recorded_url.query_pairs_mut().append_pair(name, PLACEHOLDER);
                return Ok(());
            }
            (Self::Token(token), [url, client_id, client_secret, more @ ..]) => {
                let (scopes, audience) = more.split_at(token.scopes.len());
                *sink.token = Some(TokenRequest {
                    url: parse_url(url, HTTP).map_err(|message| format!("endpoint.auth.token_url: {message}"))?,
                    client_id: (*client_id).to_owned(),
                    client_secret: SecretString::from(*client_secret),
                    scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
                    audience: audience.first().map(|audience| (*audience).to_owned()),
                    client_auth: token.client_auth,
                });
                sink.recorded
                    .insert(AUTHORIZATION.to_string(), format!("Bearer {PLACEHOLDER}"));
                return Ok(());
            }
            _ => return Ok(()),
        };
        let mut value = header_value("endpoint.auth", &value)?;
        value.set_sensitive(true);
        sink.headers.insert(name.clone(), value);
        sink.recorded.insert(name.to_string(), recorded);
        Ok(())
    }
}

/// Credentials that are written into the endpoint as they are, without a secret. They are redacted like secrets.
pub(crate) fn literal_credentials(endpoint: &Endpoint) -> Vec<String> {
    let mut found = match &endpoint.auth {
        Auth::None => vec![],
        Auth::Bearer { token } => vec![token.clone()],
        Auth::Basic { password, .. } => vec![password.clone()],
        Auth::ApiKey { value, .. } => vec![value.clone()],
        Auth::Oauth2ClientCredentials {
            client_secret,
            token_url,
            ..
        } => {
            let password = Url::parse(token_url)
                .ok()
                .and_then(|url| url.password().map(str::to_owned));
            password.into_iter().chain([client_secret.clone()]).collect()
        }
    };
    if let Ok(url) = Url::parse(&endpoint.url) {
        found.extend(url.password().map(str::to_owned));
    }
    found.retain(|value| !is_template(value));
    found
}
