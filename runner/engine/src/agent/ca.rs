//! A certificate authority that lives as long as one run, for stubs that speak TLS.

use prodmirror_agent::wire::TlsConfig;
use prodmirror_model::diag::{Problem, ProblemKind};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A run's certificate authority. Its key is never written anywhere.
pub struct RunCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl std::fmt::Debug for RunCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunCa").finish_non_exhaustive()
    }
}

impl RunCa {
    /// Makes an authority for a run.
    ///
    /// # Errors
    /// [`ProblemKind::Start`] when no key can be made.
    pub fn new(run: &str) -> Result<Self, Problem> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("prodmirror run {run}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// The authority's certificate (PEM), which services have to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for host names or addresses, with its key.
    ///
    /// # Errors
    /// [`ProblemKind::Start`] for a text that is neither.
    pub fn issue(&self, names: &[String]) -> Result<TlsConfig, Problem> {
        let mut params = CertificateParams::new(names).map_err(failed)?;
        let first = names.first().map(String::as_str).unwrap_or_default();
        params.distinguished_name.push(DnType::CommonName, first);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(TlsConfig {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

fn failed(error: rcgen::Error) -> Problem {
    Problem::new(
        ProblemKind::Start,
        format!("could not make a stub's certificate: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_issued_for_names_and_addresses() {
        let ca = RunCa::new("r1").unwrap();
        let names = ["api.payments.example".to_owned(), "10.1.2.3".to_owned()];
        let tls = ca.issue(&names).unwrap();
        assert!(ca.pem().starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(tls.cert_pem.contains("BEGIN CERTIFICATE"));
        assert!(tls.key_pem.contains("PRIVATE KEY"));
        assert!(!format!("{tls:?}{ca:?}").contains("PRIVATE"));
        assert!(ca.issue(&["bad name \u{e9}".to_owned()]).is_err());
    }
}
