//! Calls over TLS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::json;
use testfleet_endpoint::Egress;
use testfleet_model::result::ErrorClass;

use crate::fixture::{compile_with, endpoint, invoke_target, test_case};

/// Valid until 2125, for localhost and 127.0.0.1 only.
const AUTHORITY: &[u8] = include_bytes!("certificate/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("certificate/server.pem");
const KEY: &[u8] = include_bytes!("certificate/server.key");

/// Serves one connection over TLS, in a thread that ends with it; returns the port.
fn serve_once() -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = Stream::new(&mut connection, &mut socket);
        let mut request = [0; 4096];
        if stream.read(&mut request).is_ok() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue");
            let _ = stream.flush();
        }
    });
    port
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let url = format!("https://localhost:{}/", serve_once());
    let egress = Egress::public_only().allow_loopback(true);
    let target = compile_with(&endpoint(&url, json!({})), egress, AUTHORITY).unwrap();
    let invocation = invoke_target(&target, &test_case(json!({}))).await.unwrap();
    assert_eq!(invocation.output, json!(true));
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_of_class_connect() {
    let url = format!("https://localhost:{}/", serve_once());
    let egress = Egress::public_only().allow_loopback(true);
    let target = compile_with(&endpoint(&url, json!({})), egress, b"").unwrap();
    let error = invoke_target(&target, &test_case(json!({}))).await.unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Connect, "{}", error.detail.message);
    let message = error.detail.message;
    assert!(
        message.contains("certificate") && message.contains("`endpoint.tls.ca`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_configuration_brings_an_authority_of_its_own() {
    let url = format!("https://localhost:{}/", serve_once());
    let egress = || Egress::public_only().allow_loopback(true);
    let authority = std::str::from_utf8(AUTHORITY).unwrap();
    let target = compile_with(&endpoint(&url, json!({"tls": {"ca": authority}})), egress(), b"").unwrap();
    let invocation = invoke_target(&target, &test_case(json!({}))).await.unwrap();
    assert_eq!(invocation.output, json!(true));
    for (ca, said) in [
        ("no certificate", "there is no certificate in it"),
        ("{{ secrets.TOKEN }}", "there is no certificate in it"),
        ("{{ secrets.OPTIONAL }}", "it is undefined"),
        ("{{ input }}", "it is undefined"),
    ] {
        let problems = compile_with(&endpoint(&url, json!({"tls": {"ca": ca}})), egress(), b"").unwrap_err();
        assert_eq!(problems[0].key, "endpoint.tls.ca", "{ca}");
        assert!(problems[0].message.contains(said), "{ca}: {}", problems[0].message);
    }
    let target = compile_with(
        &endpoint(&url, json!({"tls": {"ca": "{{ secrets.MISSING }}"}})),
        egress(),
        b"",
    )
    .unwrap();
    let error = invoke_target(&target, &test_case(json!({}))).await.unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Secret, "{}", error.detail.message);
}

#[test]
fn root_certificates_that_cannot_be_read_are_a_problem() {
    let broken = b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n";
    let problems = compile_with(
        &endpoint("https://localhost/", json!({})),
        Egress::public_only(),
        broken,
    )
    .unwrap_err();
    assert_eq!(problems[0].key, "root_certificates");
}
