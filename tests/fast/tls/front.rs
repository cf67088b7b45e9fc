//! TLS in front of a local server, with its own certificate authority.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// A certificate authority, and the file that makes it trusted.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file, _folder: folder }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    fn acceptor(&self) -> TlsAcceptor {
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// How a server ends a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Goodbye {
    /// With TLS's closing message.
    Polite,
    /// Without a message.
    Closed,
    /// With a reset, like a load balancer that has forgotten the connection.
    Reset,
}

/// Forwards bytes to `upstream`, and can close all connections.
pub(crate) struct Front {
    port: u16,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    goodbye: watch::Sender<Option<Goodbye>>,
}

impl Front {
    pub(crate) async fn start(authority: &Authority, upstream: SocketAddr) -> Self {
        let acceptor = authority.acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (goodbye, hear) = watch::channel(None);
        let counts = (connections.clone(), open.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, hear, counts) = (acceptor.clone(), hear.clone(), counts.clone());
                tokio::spawn(async move {
                    // A client that does not trust this authority ends the handshake.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    counts.0.fetch_add(1, Ordering::SeqCst);
                    counts.1.fetch_add(1, Ordering::SeqCst);
                    pass_on(stream, upstream, hear).await;
                    counts.1.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, connections, open, goodbye }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The number of successful handshakes.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes all connections, and waits until they are closed.
    pub(crate) async fn hang_up(&self, goodbye: Goodbye) {
        self.goodbye.send(Some(goodbye)).unwrap();
        while self.open.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        self.goodbye.send(None).unwrap();
    }
}

async fn pass_on(
    mut stream: TlsStream<TcpStream>,
    upstream: SocketAddr,
    mut hear: watch::Receiver<Option<Goodbye>>,
) {
    let mut server = TcpStream::connect(upstream).await.unwrap();
    let goodbye = tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut server) => return,
        goodbye = hear.wait_for(Option::is_some) => *goodbye.unwrap(),
    };
    match goodbye {
        Some(Goodbye::Polite) => stream.shutdown().await.unwrap(),
        Some(Goodbye::Reset) => stream.get_ref().0.set_zero_linger().unwrap(),
        Some(Goodbye::Closed) | None => {}
    }
}
