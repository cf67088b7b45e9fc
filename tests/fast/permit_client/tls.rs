//! TLS: the certificate must have the requested name.

use permit_handoff::permit::Error;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

const SCOPE: &str = r#"{"organization_id": "o", "project_id": "p", "environment_id": "e"}"#;

/// An environment variable makes the certificates trusted. It cannot be set in a process with threads, so
/// the test runs itself again with it.
const AGAIN: &str = "PERMIT_HANDOFF_TLS_TEST";

#[test]
fn only_the_right_name_is_talked_to() {
    let folder = match std::env::var_os(AGAIN) {
        Some(folder) => return talk(folder.as_ref()),
        None => tempfile::tempdir().unwrap(),
    };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
    for name in ["localhost", "permit.example"] {
        let pair = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&pair, &issuer).unwrap();
        std::fs::write(folder.path().join(name).with_extension("cert"), certificate.der()).unwrap();
        std::fs::write(folder.path().join(name).with_extension("key"), pair.serialize_der()).unwrap();
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::only_the_right_name_is_talked_to", "--nocapture"])
        .env(AGAIN, folder.path())
        .env("SSL_CERT_FILE", folder.path().join("ca.pem"))
        .status()
        .unwrap();
    assert!(status.success());
}

fn talk(folder: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let right = client_at(&serve(folder, "localhost").await, |_| {});
        assert_eq!(right.environment().await.unwrap().project, "p");
        let wrong = client_at(&serve(folder, "permit.example").await, |_| {});
        let error = wrong.environment().await.unwrap_err();
        assert_eq!(error, Error::Unavailable { status: None, may_be_applied: false });
    });
}

/// Answers every request with the scope, with the certificate of `name`, at `https://localhost`.
async fn serve(folder: &std::path::Path, name: &str) -> String {
    let read = |extension: &str| std::fs::read(folder.join(name).with_extension(extension)).unwrap();
    let certificate = CertificateDer::from(read("cert"));
    let key = PrivateKeyDer::try_from(read("key")).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            // The client sends its request in one piece.
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{SCOPE}", SCOPE.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    format!("https://localhost:{port}")
}
