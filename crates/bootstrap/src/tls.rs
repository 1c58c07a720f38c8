//! The cryptography of all TLS connections of the process.

/// Makes `ring` the provider of `rustls`. The first thing of every `main` and of every test that makes an HTTP or mail
/// client: without it those panic. Safe to call again.
pub fn install_crypto_provider() {
    // An error says that a provider is installed already, by an earlier call or by the embedding program.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    #[test]
    fn installing_twice_is_fine() {
        super::install_crypto_provider();
        super::install_crypto_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
