//! Assertions: what a client signs to say who it is, where it has no secret (RFC 7523; KIP-1139). The keys are Java's.

use super::Allowed;
use super::settings::invalid;
use crate::error::Result;
use crate::wire::timing::number;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use uuid::Uuid;

const FILE: &str = "sasl.oauthbearer.assertion.file";
const KEY: &str = "sasl.oauthbearer.assertion.private.key.file";
const PASSPHRASE: &str = "sasl.oauthbearer.assertion.private.key.passphrase";
const ALGORITHM: &str = "sasl.oauthbearer.assertion.algorithm";
/// Java's name, and librdkafka's.
const TEMPLATE: [&str; 2] = [
    "sasl.oauthbearer.assertion.template.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
];
const ISSUER: &str = "sasl.oauthbearer.assertion.claim.iss";
/// A file that is longer is none of these.
const MOST_OF_A_FILE: u64 = 64 << 10;

/// Where assertions come from.
pub(super) enum Assertion {
    /// Made by somebody else, who may replace it at any time.
    File(PathBuf),
    Signed(Signed),
}

/// How one is made.
pub(super) struct Signed {
    /// Read each time: it may be replaced.
    key: PathBuf,
    algorithm: Algorithm,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    expires_seconds: u64,
    valid_before_seconds: u64,
    with_id: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
}

/// Whether client credentials are an assertion and no secret, as Java decides it.
pub(super) fn replaces_the_secret<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> bool {
    get(FILE).is_some() || get(ISSUER).is_some()
}

impl Assertion {
    /// # Errors
    /// When a setting is missing or wrong, or names a file that is not allowed or none of its kind.
    pub(super) fn read<'a>(
        own: &BTreeMap<String, String>,
        get: &impl Fn(&str) -> Option<&'a str>,
        allowed: &Allowed,
    ) -> Result<Self> {
        if let Some(path) = get(FILE) {
            return Ok(Self::File(allowed.file(FILE, path)?));
        }
        let algorithm = match get(ALGORITHM).unwrap_or("RS256") {
            name if name.eq_ignore_ascii_case("RS256") => Algorithm::Rs256,
            name if name.eq_ignore_ascii_case("ES256") => Algorithm::Es256,
            other => return Err(invalid(ALGORITHM, format!("`{other}` is none of RS256, ES256"))),
        };
        if get(PASSPHRASE).is_some() {
            let message = "encrypted keys cannot be read: give a PKCS #8 key in PEM without a passphrase, that only this process may read";
            return Err(invalid(PASSPHRASE, message));
        }
        let missing = || invalid(KEY, format!("it is missing, and so is `{FILE}`"));
        let key = allowed.file(KEY, get(KEY).ok_or_else(missing)?)?;
        let mut claims = Map::new();
        for claim in ["aud", "iss", "sub"] {
            if let Some(value) = get(&format!("sasl.oauthbearer.assertion.claim.{claim}")) {
                claims.insert(claim.to_owned(), value.into());
            }
        }
        let mut header = Map::new();
        if let Some((name, path)) = TEMPLATE.iter().find_map(|name| Some((*name, get(name)?))) {
            let path = allowed.file(name, path)?;
            let (more_header, more_claims) = template(&path).map_err(|why| invalid(name, why))?;
            header.extend(more_header);
            claims.extend(more_claims);
        }
        let jti = get("sasl.oauthbearer.assertion.claim.jti.include");
        let signed = Signed {
            key,
            algorithm,
            header,
            claims,
            expires_seconds: number(own, "sasl.oauthbearer.assertion.claim.exp.seconds", 300)?,
            valid_before_seconds: number(own, "sasl.oauthbearer.assertion.claim.nbf.seconds", 60)?,
            with_id: jti.is_some_and(|yes| yes.eq_ignore_ascii_case("true")),
        };
        // A key that is none is found now, and not by the first connection.
        signed.sign(b"").map_err(|why| invalid(KEY, why))?;
        Ok(Self::Signed(signed))
    }

    /// The assertion of this moment; why there is none.
    pub(super) fn text(&self) -> std::result::Result<String, String> {
        match self {
            Self::File(path) => read(path).map(|text| text.trim().to_owned()),
            Self::Signed(signed) => signed.text(),
        }
    }
}

impl Signed {
    fn text(&self) -> std::result::Result<String, String> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let (mut header, mut claims) = (self.header.clone(), self.claims.clone());
        let name = match self.algorithm {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
        };
        header.insert("alg".to_owned(), name.into());
        header.insert("typ".to_owned(), "JWT".into());
        claims.insert("iat".to_owned(), json!(now));
        claims.insert("exp".to_owned(), json!(now.saturating_add(self.expires_seconds)));
        claims.insert("nbf".to_owned(), json!(now.saturating_sub(self.valid_before_seconds)));
        if self.with_id {
            claims.insert("jti".to_owned(), Uuid::new_v4().to_string().into());
        }
        let part = |json: Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(json).to_string());
        let said = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(said.as_bytes())?;
        Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// No error quotes what is in the file.
    fn sign(&self, bytes: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let text = read(&self.key)?;
        let path = self.key.display();
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            format!("`{path}` holds no private key in PKCS #8 and PEM (-----BEGIN PRIVATE KEY-----); encrypted ones cannot be read")
        })?;
        let (key, random) = (key.secret_pkcs8_der(), SystemRandom::new());
        let failed = || format!("`{path}`: signing has failed");
        match self.algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(key).map_err(|_| format!("`{path}` holds no RSA key for RS256"))?;
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature);
                signed.map(|()| signature).map_err(|_| failed())
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key)
                    .map_err(|_| format!("`{path}` holds no key of the curve P-256 for ES256"))?;
                let signed = pair.sign(&random, bytes);
                signed
                    .map(|signature| signature.as_ref().to_vec())
                    .map_err(|_| failed())
            }
        }
    }
}

fn read(path: &Path) -> std::result::Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(MOST_OF_A_FILE).read_to_string(&mut text));
    read.map(|_| text)
        .map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
}

type Object = Map<String, Value>;

/// `{"header": {...}, "payload": {...}}`, either of them.
fn template(path: &Path) -> std::result::Result<(Object, Object), String> {
    let json: Value =
        serde_json::from_str(&read(path)?).map_err(|error| format!("`{}` is no JSON: {error}", path.display()))?;
    let part = |name: &str| match json.get(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(part)) => Ok(part.clone()),
        Some(_) => Err(format!("`{name}` in `{}` is no object", path.display())),
    };
    Ok((part("header")?, part("payload")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    };
    use base64::engine::general_purpose::STANDARD;

    /// An algorithm's name, a private key, the public one, and how a signature is verified.
    type Case<'a> = (&'a str, &'a [u8], &'a [u8], &'static dyn VerificationAlgorithm);

    fn pem(der: &[u8]) -> String {
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der)
        )
    }

    fn made(folder: &Path, settings: &[(&str, &str)]) -> Result<Assertion> {
        let own: BTreeMap<String, String> = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let get = |key: &str| own.get(key).map(String::as_str);
        let files = ["key", "template", "assertion"].map(|name| folder.join(name).display().to_string());
        let allowed = Allowed {
            urls: Vec::new(),
            files: files.to_vec(),
        };
        Assertion::read(&own, &get, &allowed)
    }

    #[test]
    fn what_is_signed_holds_what_is_configured_and_is_signed_by_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key");
        let template = folder.path().join("template");
        std::fs::write(
            &template,
            r#"{"header":{"kid":"7","alg":"none"},"payload":{"sub":"other","x":[1]}}"#,
        )
        .expect("written");
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let rsa_der = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).expect("encoded");
        let ec_der = ec.to_pkcs8v1().expect("encoded");
        let cases: [Case<'_>; 2] = [
            (
                "RS256",
                rsa_der.as_ref(),
                rsa.public_key().as_ref(),
                &RSA_PKCS1_2048_8192_SHA256,
            ),
            (
                "ES256",
                ec_der.as_ref(),
                ec.public_key().as_ref(),
                &ECDSA_P256_SHA256_FIXED,
            ),
        ];
        let (key_path, template_path) = (key.display().to_string(), template.display().to_string());
        for (name, private, public, algorithm) in cases {
            std::fs::write(&key, pem(private)).expect("written");
            let assertion = made(
                folder.path(),
                &[
                    (KEY, &key_path),
                    (ALGORITHM, name),
                    (TEMPLATE[0], &template_path),
                    (ISSUER, "me"),
                    ("sasl.oauthbearer.assertion.claim.sub", "me"),
                    ("sasl.oauthbearer.assertion.claim.aud", "them"),
                    ("sasl.oauthbearer.assertion.claim.exp.seconds", "30"),
                    ("sasl.oauthbearer.assertion.claim.jti.include", "true"),
                ],
            );
            let text = assertion.expect("settings").text().expect("signed");
            let (said, signature) = text.rsplit_once('.').expect("three parts");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
            let public = UnparsedPublicKey::new(algorithm, public);
            public.verify(said.as_bytes(), &signature).expect("it is signed");
            let parts: Vec<Value> = said
                .split('.')
                .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON"))
                .collect();
            assert_eq!(parts[0], json!({"kid": "7", "alg": name, "typ": "JWT"}));
            let claims = &parts[1];
            assert_eq!((&claims["iss"], &claims["aud"]), (&json!("me"), &json!("them")));
            assert_eq!(
                (&claims["sub"], &claims["x"]),
                (&json!("other"), &json!([1])),
                "the template's"
            );
            let number = |name: &str| claims[name].as_u64().expect("a number");
            assert_eq!((number("exp") - number("iat"), number("iat") - number("nbf")), (30, 60));
            assert_eq!(claims["jti"].as_str().map(str::len), Some(36));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(folder.path().join("key"), "hidden").expect("written");
        std::fs::write(folder.path().join("elsewhere"), "hidden").expect("written");
        for (settings, says) in [
            (&[][..], KEY),
            (&[(KEY, &*path("elsewhere"))], "allowed.files"),
            (&[(KEY, &*path("key"))], "no private key"),
            (&[(KEY, &*path("key")), (PASSPHRASE, "hidden")], "without a passphrase"),
            (&[(KEY, &*path("key")), (ALGORITHM, "HS256")], "RS256, ES256"),
            (
                &[(KEY, &*path("key")), (TEMPLATE[1], &*path("template"))],
                "cannot be read",
            ),
            (&[(FILE, &*path("elsewhere"))], "allowed.files"),
        ] {
            let Err(error) = made(folder.path(), settings) else {
                panic!("{settings:?}");
            };
            let text = error.to_string();
            assert!(text.contains(says) && !text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("assertion");
        std::fs::write(&path, "a.b.c\n").expect("written");
        let assertion = made(folder.path(), &[(FILE, &path.display().to_string())]).expect("settings");
        assert_eq!(assertion.text().as_deref(), Ok("a.b.c"));
        std::fs::write(&path, "d.e.f").expect("written");
        assert_eq!(assertion.text().as_deref(), Ok("d.e.f"));
    }
}
