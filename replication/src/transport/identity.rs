//! Who this broker is to the others of its cluster: a certificate, its key, and the cluster's CA.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use model::{BrokerId, Timestamp};
use rustls::{
    RootCertStore,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use super::names::{self, ClusterId, NamesError};

pub const CA_FILE: &str = "ca.pem";
pub const CERTIFICATE_FILE: &str = "node.pem";
pub const KEY_FILE: &str = "node.key";

/// A certificate that ends sooner is told of at the start.
const EXPIRY_WARNING: Duration = Duration::from_secs(30 * 86_400);

/// Why a broker has no identity, as a sentence that says which file is to blame.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{} cannot be read: {source}; make certificates with tailrace cert", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} holds no PEM that can be used: {1}")]
    Pem(&'static str, rustls::pki_types::pem::Error),
    #[error("{CA_FILE} holds no certificate that can be used: {0}")]
    Ca(rustls::Error),
    #[error("{0} {1}")]
    Names(&'static str, NamesError),
    #[error("{CERTIFICATE_FILE} is of cluster {node} and {CA_FILE} of cluster {ca}")]
    OtherCluster { node: ClusterId, ca: ClusterId },
    #[error("{CERTIFICATE_FILE} is not what another broker would take: {0}")]
    Refused(rustls::Error),
    #[error("{KEY_FILE} cannot be used with {CERTIFICATE_FILE}: {0}")]
    Key(rustls::Error),
}

/// Made once, before the shards; clones share all of it.
#[derive(Clone)]
pub struct Identity {
    broker: BrokerId,
    pub(super) cluster: ClusterId,
    cluster_id: Arc<str>,
    /// For those who dial us, and for those we dial.
    pub(super) server: Arc<rustls::ServerConfig>,
    pub(super) client: Arc<rustls::ClientConfig>,
    /// Known to this broker alone, and the same after a restart.
    pub(super) secret: Arc<ring::hmac::Key>,
}

impl Identity {
    /// From the three files in `dir`, by the wall clock.
    pub fn load(dir: &Path) -> Result<Self, IdentityError> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read(&path).map_err(|source| IdentityError::Io { path, source })
        };
        let now = rt::timer::wall();
        let (ca, certificate, key) = (read(CA_FILE)?, read(CERTIFICATE_FILE)?, read(KEY_FILE)?);
        Self::from_pem(&ca, &certificate, &key, now)
    }

    /// From what the three files hold. Refuses what the other brokers would refuse at `now`.
    pub fn from_pem(
        ca: &[u8],
        certificate: &[u8],
        key: &[u8],
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let authorities = certificates(CA_FILE, ca)?;
        let chain = certificates(CERTIFICATE_FILE, certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| IdentityError::Pem(KEY_FILE, e))?;
        let (broker, cluster) =
            broker_and_cluster(&chain[0]).map_err(|e| IdentityError::Names(CERTIFICATE_FILE, e))?;
        let of_ca = names_of(&authorities[0]).unwrap_or_default();
        // A CA that was made elsewhere names no cluster, and need not.
        if let Ok(ca) = names::cluster(of_ca.iter().map(String::as_str))
            && ca != cluster
        {
            return Err(IdentityError::OtherCluster { node: cluster, ca });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(IdentityError::Ca)?;
        }
        let roots = Arc::new(roots);
        check(&chain, cluster, &roots, &provider, now)?;
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.secret_der());
        let alpn = vec![alpn(cluster)];
        Ok(Self {
            broker,
            cluster,
            cluster_id: cluster.to_string().into(),
            server: Arc::new(server(&chain, &key, &roots, &provider, alpn.clone())?),
            client: Arc::new(client(chain, key, roots, provider, alpn)?),
            secret: Arc::new(secret),
        })
    }

    pub fn broker(&self) -> BrokerId {
        self.broker
    }

    /// As Kafka writes it: 22 characters.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(broker {} of cluster {})", self.broker, self.cluster)
    }
}

/// The names of a certificate. `None`: it is none.
pub(super) fn names_of(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(parsed.valid_dns_names().map(str::to_owned).collect())
}

/// To be believed only of a certificate that has been verified.
pub(super) fn broker_and_cluster(
    certificate: &CertificateDer<'_>,
) -> Result<(BrokerId, ClusterId), NamesError> {
    let names = names_of(certificate).unwrap_or_default();
    names::broker_and_cluster(names.iter().map(String::as_str))
}

/// What both sides say they speak: a peer of another cluster is turned away before it shows a certificate.
fn alpn(cluster: ClusterId) -> Vec<u8> {
    format!("tailrace-1/{cluster}").into_bytes()
}

/// The name that a dialler has verified: any broker of the cluster. Which one it is, is read afterwards, so that the
/// refusal can say who answered.
pub(super) fn server_name(cluster: ClusterId) -> String {
    cluster.dns_name()
}

fn certificates(file: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let failed = |e| IdentityError::Pem(file, e);
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() {
        return Err(failed(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// Looks at our own certificate as another broker would, so that a mistake is one sentence here instead of a refusal
/// by every peer.
fn check(
    chain: &[CertificateDer<'_>],
    cluster: ClusterId,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
    let verifier = verifier.map_err(|e| IdentityError::Ca(rustls::Error::General(e.to_string())))?;
    let name = ServerName::try_from(server_name(cluster)).expect("hex makes a DNS name");
    let at = |time: Duration| {
        let time = UnixTime::since_unix_epoch(time);
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], time)
    };
    let now = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    at(now).map_err(IdentityError::Refused)?;
    if at(now + EXPIRY_WARNING).is_err() {
        tracing::warn!(
            "the certificate in {CERTIFICATE_FILE} expires within 30 days: make another with tailrace cert node"
        );
    }
    Ok(())
}

fn server(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    alpn: Vec<Vec<u8>>,
) -> Result<rustls::ServerConfig, IdentityError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
    let verifier = verifier.map_err(|e| IdentityError::Ca(rustls::Error::General(e.to_string())))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(IdentityError::Key)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.to_vec(), key.clone_key())
        .map_err(IdentityError::Key)?;
    config.alpn_protocols = alpn;
    // A resumed session would not look at certificates again, and 0-RTT can be replayed.
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn client(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    alpn: Vec<Vec<u8>>,
) -> Result<rustls::ClientConfig, IdentityError> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(IdentityError::Key)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(IdentityError::Key)?;
    config.alpn_protocols = alpn;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}
