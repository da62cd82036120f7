//! A cluster's certificate authority: makes the certificates that brokers know each other by. Used at the command
//! line and in tests; no broker has its key.

use std::time::Duration;

use model::{BrokerId, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    identity::names_of,
    names::{self, ClusterId, NamesError, broker_dns_name},
};

/// Clocks of a cluster differ: a certificate is valid from a little before it was made.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(3600);
/// Longer than anybody waits, and well within the years that certificates can tell.
const VALIDITY_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the CA's certificate cannot be read")]
    NoCertificate,
    #[error("the CA's certificate {0}; only a CA made by `tailrace cert ca` can be used here")]
    Names(#[from] NamesError),
    #[error("the CA's key cannot be used: {0}")]
    Key(rcgen::Error),
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate and its private key, as PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

pub struct Authority {
    cluster: ClusterId,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new CA for `cluster`, with its certificate, which says so, and its key.
    pub fn make(
        cluster: ClusterId,
        now: Timestamp,
        validity: Duration,
    ) -> Result<(Self, Issued), AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = params(cluster)?;
        set_validity(&mut params, now, validity);
        let certificate = params.self_signed(&key)?;
        let issued = Issued { certificate: certificate.pem(), key: key.serialize_pem() };
        Ok((Self { cluster, issuer: Issuer::new(params, key) }, issued))
    }

    /// The CA whose certificate and key these PEM texts are.
    pub fn read(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| AuthorityError::NoCertificate)?;
        let names = names_of(&certificate).ok_or(AuthorityError::NoCertificate)?;
        let cluster = names::cluster(names.iter().map(String::as_str))?;
        let key = KeyPair::from_pem(key).map_err(AuthorityError::Key)?;
        // What of a CA goes into other certificates hangs on the cluster and the key alone.
        Ok(Self { cluster, issuer: Issuer::new(params(cluster)?, key) })
    }

    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// A certificate for `broker`, with a key of its own.
    pub fn issue(
        &self,
        broker: BrokerId,
        now: Timestamp,
        validity: Duration,
    ) -> Result<Issued, AuthorityError> {
        self.issue_named(&[broker_dns_name(broker), self.cluster.dns_name()], now, validity)
    }

    /// A certificate with any DNS names. Of the tests: brokers refuse what `issue` would not make.
    pub(crate) fn issue_named(
        &self,
        names: &[String],
        now: Timestamp,
        validity: Duration,
    ) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = common_name(names.first().map_or("", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A broker answers and dials.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, validity);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn params(cluster: ClusterId) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("tailrace cluster {cluster}"));
    params.subject_alt_names = vec![SanType::DnsName(cluster.dns_name().try_into()?)];
    // Signs brokers, and no further CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, validity: Duration) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    params.not_before = now - CLOCK_DIFFERENCE;
    params.not_after = now + validity.min(VALIDITY_MAX);
}
