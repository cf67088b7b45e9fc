//! TLS for every client: which certificates are trusted, and one set of settings that all of them share.
//!
//! Mozilla's root certificates are compiled in, as parsed data: reading and parsing a machine's bundle took
//! two thirds of a cold start. Operators with a certificate authority of their own name its file, which then
//! replaces them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder, Url, redirect};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

/// Whether data sent to `url` stays private on the way: it is `https`, or `http` to this machine.
pub fn is_private(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_this_machine(url),
        _ => false,
    }
}

/// Whether `url` names this machine: `localhost` or a loopback address.
pub fn is_this_machine(url: &Url) -> bool {
    // `Url` writes hosts in lower case, addresses in their canonical form, and IPv6 in brackets.
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The kind of server that a client talks to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// AWS: `AWS_CA_BUNDLE`, else as for [`Peer::Other`].
    Aws,
    /// Permit, its PDP and the issuers of tokens: `SSL_CERT_FILE` and `SSL_CERT_DIR`, else the roots compiled
    /// in.
    Other,
}

/// Why no server can be trusted. Reported when a program starts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidTrust {
    #[error(
        "{variable} is {path}, which has no certificates that can be read{reason}: name a PEM file, or unset it"
    )]
    Certificates {
        variable: &'static str,
        path: String,
        /// The error, if there was one.
        reason: String,
    },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

#[derive(Debug, thiserror::Error)]
pub enum NoClient {
    #[error(transparent)]
    Trust(#[from] InvalidTrust),
    #[error("the HTTP client cannot be built: {0}")]
    Http(#[from] reqwest::Error),
}

/// The base of every HTTP client that talks to `peer`: these settings, and no redirects.
pub fn client(peer: Peer) -> Result<ClientBuilder, InvalidTrust> {
    let agent = concat!("permit-handoff/", env!("CARGO_PKG_VERSION"));
    let builder = Client::builder().tls_backend_preconfigured(settings(peer)?).user_agent(agent);
    Ok(builder.redirect(redirect::Policy::none()).referer(false).tcp_nodelay(true))
}

/// The settings for a client that talks to `peer`. The variables are read once a process.
pub fn settings(peer: Peer) -> Result<ClientConfig, InvalidTrust> {
    static AWS: OnceLock<Result<ClientConfig, InvalidTrust>> = OnceLock::new();
    static OTHER: OnceLock<Result<ClientConfig, InvalidTrust>> = OnceLock::new();
    let lookup = |name: &str| std::env::var(name).ok();
    let other = || OTHER.get_or_init(|| trusting(roots(Peer::Other, lookup)?)).clone();
    match peer {
        // A clone shares the roots, and the session tickets that shorten a handshake.
        Peer::Aws if set(lookup, AWS_CA_BUNDLE).is_none() => other(),
        Peer::Aws => AWS.get_or_init(|| trusting(roots(Peer::Aws, lookup)?)).clone(),
        Peer::Other => other(),
    }
}

const AWS_CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// An empty variable counts as not set, as for every setting.
fn set(lookup: impl Fn(&str) -> Option<String>, name: &str) -> Option<PathBuf> {
    lookup(name).filter(|value| !value.trim().is_empty()).map(PathBuf::from)
}

fn roots(peer: Peer, lookup: impl Fn(&str) -> Option<String>) -> Result<RootCertStore, InvalidTrust> {
    let bundle = if peer == Peer::Aws { set(&lookup, AWS_CA_BUNDLE) } else { None };
    if let Some(bundle) = bundle {
        return read(&[(AWS_CA_BUNDLE, bundle)]);
    }
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
    let named: Vec<_> = named.into_iter().filter_map(|name| Some((name, set(&lookup, name)?))).collect();
    if named.is_empty() {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    }
    read(&named)
}

/// The certificates in all of these files and folders. Each must have at least one.
fn read(named: &[(&'static str, PathBuf)]) -> Result<RootCertStore, InvalidTrust> {
    let mut roots = RootCertStore::empty();
    for (variable, path) in named {
        let (file, folder): (Option<&Path>, Option<&Path>) =
            if *variable == "SSL_CERT_DIR" { (None, Some(path)) } else { (Some(path), None) };
        let found = rustls_native_certs::load_certs_from_paths(file, folder);
        // Bundles have certificates in forms that no server uses any more. They are left out.
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let reason = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(InvalidTrust::Certificates { variable, path: path.display().to_string(), reason });
        }
    }
    Ok(roots)
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, InvalidTrust> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidTrust::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with `one.pem`, `two.pem` (two certificates), `empty.pem` and the folder `both`.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let authority = || {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let pair = rcgen::KeyPair::generate().unwrap();
            rcgen::CertifiedIssuer::self_signed(params, pair).unwrap().pem()
        };
        let (one, two) = (authority(), authority() + &authority());
        fs::create_dir(folder.path().join("both")).unwrap();
        for (name, text) in
            [("one.pem", &*one), ("two.pem", &*two), ("both/a.pem", &*one), ("both/b.pem", &*two)]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::write(folder.path().join("empty.pem"), "no certificate").unwrap();
        folder
    }

    /// How many roots `peer` trusts with these variables. Each value is a path in the folder.
    fn count(peer: Peer, variables: &[(&str, &str)]) -> Result<usize, InvalidTrust> {
        let folder = folder();
        let lookup = |name: &str| {
            let (_, value) = variables.iter().find(|(other, _)| *other == name)?;
            Some(if value.is_empty() {
                String::new()
            } else {
                folder.path().join(value).to_str().unwrap().to_owned()
            })
        };
        roots(peer, lookup).map(|roots| roots.roots.len())
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for url in ["https://api.permit.io", "http://127.0.0.1:7766", "http://[::1]:1", "http://LOCALHOST"] {
            assert!(is_private(&url.parse().unwrap()), "{url}");
        }
        for url in [
            "http://api.permit.io",
            "http://localhost.example.com",
            "http://10.0.0.7",
            "ftp://localhost",
            "data:x",
        ] {
            assert!(!is_private(&url.parse().unwrap()), "{url}");
        }
    }

    #[test]
    fn mozillas_roots_are_trusted_where_no_file_is_named() {
        let compiled_in = webpki_roots::TLS_SERVER_ROOTS.len();
        for peer in [Peer::Aws, Peer::Other] {
            assert_eq!(count(peer, &[]), Ok(compiled_in));
            assert_eq!(count(peer, &[("SSL_CERT_FILE", ""), ("AWS_CA_BUNDLE", "")]), Ok(compiled_in));
        }
        // AWS's bundle does not count for other servers.
        assert_eq!(count(Peer::Other, &[("AWS_CA_BUNDLE", "one.pem")]), Ok(compiled_in));
    }

    #[test]
    fn a_named_file_or_folder_replaces_them() {
        for peer in [Peer::Aws, Peer::Other] {
            assert_eq!(count(peer, &[("SSL_CERT_FILE", "two.pem")]), Ok(2));
            assert_eq!(count(peer, &[("SSL_CERT_DIR", "both")]), Ok(3));
            assert_eq!(count(peer, &[("SSL_CERT_FILE", "one.pem"), ("SSL_CERT_DIR", "both")]), Ok(4));
        }
        let both = [("SSL_CERT_FILE", "two.pem"), ("AWS_CA_BUNDLE", "one.pem")];
        assert_eq!((count(Peer::Aws, &both), count(Peer::Other, &both)), (Ok(1), Ok(2)));
    }

    #[test]
    fn a_file_without_certificates_is_an_error_that_names_its_variable() {
        for (variable, path) in [
            ("SSL_CERT_FILE", "empty.pem"),
            ("SSL_CERT_FILE", "missing.pem"),
            ("SSL_CERT_DIR", "missing"),
            ("AWS_CA_BUNDLE", "empty.pem"),
        ] {
            let error = count(Peer::Aws, &[(variable, path)]).unwrap_err().to_string();
            assert!(error.starts_with(variable) && error.contains(path), "{error}");
        }
    }
}
