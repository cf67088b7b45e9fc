//! TLS in front of local servers, so that sign-ins can be measured as in the cloud.
//!
//! `tls-front FOLDER UPSTREAM...` creates a certificate authority, writes `FOLDER/ca.pem`, and prints one
//! port per upstream (`127.0.0.1:8765`). Then it reads one word per line: `count` prints each port's
//! handshakes since the last `count`; `close` closes all connections first.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// The connections of one upstream.
#[derive(Default)]
struct Connections {
    handshakes: AtomicUsize,
    open: AtomicUsize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let acceptor = acceptor(arguments.next().unwrap().as_ref());
    let (close, closed) = watch::channel(());
    let (mut ports, mut fronts) = (Vec::new(), Vec::new());
    for upstream in arguments {
        let upstream: SocketAddr = upstream.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        ports.push(listener.local_addr().unwrap().port().to_string());
        let connections = Arc::<Connections>::default();
        fronts.push(connections.clone());
        tokio::spawn(serve(listener, upstream, acceptor.clone(), connections, closed.clone()));
    }
    println!("{}", ports.join(" "));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "close" {
            close.send(()).unwrap();
            while fronts.iter().any(|front| front.open.load(Ordering::Relaxed) > 0) {
                tokio::task::yield_now().await;
            }
        }
        let count = |front: &Arc<Connections>| front.handshakes.swap(0, Ordering::Relaxed).to_string();
        println!("{}", fronts.iter().map(count).collect::<Vec<_>>().join(" "));
    }
}

fn acceptor(folder: &Path) -> TlsAcceptor {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // The authority needs another name than the certificate that it signs, which would otherwise look
    // self-signed.
    params.distinguished_name.push(DnType::CommonName, "benchmark authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&pair, &authority).unwrap();
    let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    acceptor: TlsAcceptor,
    connections: Arc<Connections>,
    closed: watch::Receiver<()>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (acceptor, connections, closed) = (acceptor.clone(), connections.clone(), closed.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                connections.handshakes.fetch_add(1, Ordering::Relaxed);
                connections.open.fetch_add(1, Ordering::Relaxed);
                pass_on(stream, upstream, closed).await;
                connections.open.fetch_sub(1, Ordering::Relaxed);
            }
        });
    }
}

async fn pass_on(mut stream: TlsStream<TcpStream>, upstream: SocketAddr, mut closed: watch::Receiver<()>) {
    closed.mark_unchanged();
    let mut server = TcpStream::connect(upstream).await.unwrap();
    server.set_nodelay(true).unwrap();
    tokio::select! {
        // A killed client breaks its connection.
        _ = tokio::io::copy_bidirectional(&mut stream, &mut server) => {}
        _ = closed.changed() => drop(stream.shutdown().await),
    }
}
