//! Tokens and signed tokens, good ones and each kind of bad one. The keys beside this file were made for these tests and
//! open nothing.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const SECRET: &str = "a secret of thirty-two bytes, yes";
const RSA_PRIVATE: &str = include_str!("tests/rsa-private.pem");
const RSA_PUBLIC: &str = include_str!("tests/rsa-public.pem");
const ED_PRIVATE: &str = include_str!("tests/ed25519-private.pem");
const ED_PUBLIC: &str = include_str!("tests/ed25519-public.pem");

const READ_WRITE: Grant = Grant {
    rights: Rights::ReadWrite,
    expires: None,
};
const READ_ONLY: Grant = Grant {
    rights: Rights::ReadOnly,
    expires: None,
};
const UNSIGNED: Denied =
    Denied::Invalid("it is neither one of the tokens nor signed by the configured key");

fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000_000)
}

fn shop() -> StoreId {
    "shop".parse().expect("an id")
}

fn rules() -> JwtRules<'static> {
    JwtRules {
        algorithm: Algorithm::Hs256,
        key: SECRET,
        issuer: None,
        audience: None,
        store_claim: "store",
        mode_claim: "mode",
    }
}

fn with_tokens() -> Access {
    let tokens = [
        ("s3cret", Rights::ReadWrite),
        ("look-only", Rights::ReadOnly),
    ];
    Access::new(tokens, None).expect("no key")
}

fn with_jwt(rules: &JwtRules<'_>) -> Access {
    Access::new([], Some(rules)).expect("a good key")
}

/// A token that is signed with [`SECRET`].
fn signed(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(jsonwebtoken::Algorithm::HS256), claims, &key).expect("it can be signed")
}

fn admit(access: &Access, bearer: &str) -> Result<Grant, Denied> {
    let credentials = Credentials {
        payload: None,
        bearer: Some(bearer),
    };
    access.admit(&shop(), &credentials, now())
}

fn admit_payload(access: &Access, payload: &Value) -> Result<Grant, Denied> {
    let credentials = Credentials {
        payload: Some(payload),
        bearer: None,
    };
    access.admit(&shop(), &credentials, now())
}

fn admit_claims(claims: &Value) -> Result<Grant, Denied> {
    admit(&with_jwt(&rules()), &signed(claims))
}

#[test]
fn a_store_without_rules_is_open() {
    let access = Access::new([], None).expect("no key");
    assert!(access.is_open());
    let nothing = Credentials::default();
    assert_eq!(access.admit(&shop(), &nothing, now()), Ok(READ_WRITE));
}

#[test]
fn a_token_is_looked_for_in_the_header_and_then_in_every_usual_place_of_the_payload() {
    let access = with_tokens();
    assert!(!access.is_open());
    assert_eq!(admit(&access, "s3cret"), Ok(READ_WRITE));
    assert_eq!(admit(&access, "look-only"), Ok(READ_ONLY));
    assert_eq!(admit_payload(&access, &json!("s3cret")), Ok(READ_WRITE));
    for field in PAYLOAD_FIELDS {
        assert_eq!(
            admit_payload(&access, &json!({ field: "look-only" })),
            Ok(READ_ONLY)
        );
    }
    let both = Credentials {
        payload: Some(&json!({ "authToken": "s3cret" })),
        bearer: Some("look-only"),
    };
    assert_eq!(access.admit(&shop(), &both, now()), Ok(READ_ONLY));
}

#[test]
fn no_token_and_a_wrong_one_are_told_apart() {
    let access = with_tokens();
    let nothing = Credentials::default();
    assert_eq!(access.admit(&shop(), &nothing, now()), Err(Denied::Missing));
    for empty in [
        json!(null),
        json!({}),
        json!({ "authToken": 5 }),
        json!(""),
        json!(["s3cret"]),
    ] {
        assert_eq!(admit_payload(&access, &empty), Err(Denied::Missing));
    }
    for wrong in ["s3cre", "s3crets", "S3CRET", "look-only s3cret"] {
        assert_eq!(
            admit(&access, wrong),
            Err(Denied::Invalid("it is unknown")),
            "{wrong}"
        );
    }
}

#[test]
fn a_token_signed_in_each_of_the_three_ways_is_good() {
    let claims = json!({ "store": "shop" });
    let sign = |algorithm, key: &EncodingKey| {
        encode(&Header::new(algorithm), &claims, key).expect("it can be signed")
    };
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).expect("a key");
    let ed = EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).expect("a key");
    for (algorithm, key, token) in [
        (Algorithm::Hs256, SECRET, signed(&claims)),
        (
            Algorithm::Rs256,
            RSA_PUBLIC,
            sign(jsonwebtoken::Algorithm::RS256, &rsa),
        ),
        (
            Algorithm::EdDsa,
            ED_PUBLIC,
            sign(jsonwebtoken::Algorithm::EdDSA, &ed),
        ),
    ] {
        let access = with_jwt(&JwtRules {
            algorithm,
            key,
            ..rules()
        });
        assert_eq!(admit(&access, &token), Ok(READ_WRITE), "{algorithm:?}");
        // Any byte of it matters.
        let (start, signature) = token.rsplit_once('.').expect("three parts");
        let first = match signature.starts_with('A') {
            true => "B",
            false => "A",
        };
        let forged = format!("{start}.{first}{}", &signature[1..]);
        assert_eq!(admit(&access, &forged), Err(UNSIGNED), "{algorithm:?}");
    }
}

#[test]
fn a_token_cannot_choose_how_it_is_checked() {
    let claims = json!({ "store": "*" });
    let rsa = with_jwt(&JwtRules {
        algorithm: Algorithm::Rs256,
        key: RSA_PUBLIC,
        ..rules()
    });
    // Signed with the public key as if it were a secret.
    let confused = encode(
        &Header::new(jsonwebtoken::Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(RSA_PUBLIC.as_bytes()),
    )
    .expect("it can be signed");
    assert_eq!(admit(&rsa, &confused), Err(UNSIGNED));
    // The right key, and another algorithm of the same family.
    let longer = encode(
        &Header::new(jsonwebtoken::Algorithm::HS512),
        &claims,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .expect("it can be signed");
    assert_eq!(admit(&with_jwt(&rules()), &longer), Err(UNSIGNED));
    // Not signed at all: {"alg":"none"} and {"store":"*"}.
    for none in [
        "eyJhbGciOiJub25lIn0.eyJzdG9yZSI6IioifQ.",
        "eyJhbGciOiJub25lIn0.eyJzdG9yZSI6IioifQ.AAAA",
    ] {
        assert_eq!(admit(&with_jwt(&rules()), none), Err(UNSIGNED));
        assert_eq!(admit(&rsa, none), Err(UNSIGNED));
    }
    for rubbish in ["a.b.c", "...", "eyJhbGciOiJIUzI1NiJ9", "\u{0}.\u{0}.\u{0}"] {
        assert_eq!(admit(&rsa, rubbish), Err(UNSIGNED), "{rubbish:?}");
    }
}

#[test]
fn a_token_is_good_from_its_first_moment_to_its_last_and_some_seconds_of_another_clock() {
    let at = |name: &str, offset: i64| {
        let seconds = 1_000_000 + offset;
        admit_claims(&json!({ "store": "shop", name: seconds }))
    };
    let until = |offset: u64| {
        Ok(Grant {
            expires: Some(now() + LEEWAY + Duration::from_secs(offset)),
            ..READ_WRITE
        })
    };
    assert_eq!(at("exp", 60), until(60));
    assert_eq!(
        at("exp", -29),
        Ok(Grant {
            expires: Some(now() + Duration::from_secs(1)),
            ..READ_WRITE
        })
    );
    assert_eq!(at("exp", -30), Err(Denied::Expired));
    assert_eq!(at("exp", -1_000_000), Err(Denied::Expired));
    assert_eq!(at("nbf", 30), Ok(READ_WRITE));
    let early = Denied::Invalid("its time has not come yet");
    assert_eq!(at("nbf", 31), Err(early));
}

#[test]
fn a_time_that_is_none_is_not_taken_for_one_that_is_not_there() {
    for odd in [json!("never"), json!(null), json!(-5), json!([1])] {
        for name in ["exp", "nbf"] {
            let claims = json!({ "store": "shop", name: odd });
            let denied = admit_claims(&claims);
            assert!(matches!(denied, Err(Denied::Invalid(_))), "{claims}");
        }
    }
    let far = admit_claims(&json!({ "store": "shop", "exp": 1e300 })).expect("it is good");
    assert_eq!(far.expires, Some(Timestamp::NEVER));
}

#[test]
fn issuer_and_audience_must_be_the_configured_ones() {
    let access = with_jwt(&JwtRules {
        issuer: Some("https://id.example.com"),
        audience: Some("quartermaster"),
        ..rules()
    });
    let good = json!({ "store": "shop", "iss": "https://id.example.com", "aud": "quartermaster" });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        admit(&access, &signed(&claims))
    };
    assert_eq!(admit(&access, &signed(&good)), Ok(READ_WRITE));
    assert_eq!(
        with("aud", json!(["other", "quartermaster"])),
        Ok(READ_WRITE)
    );
    let audience = Err(Denied::Invalid("its audience is another"));
    assert_eq!(with("aud", json!("other")), audience);
    assert_eq!(with("aud", json!(null)), audience);
    let issuer = Err(Denied::Invalid("its issuer is another"));
    assert_eq!(with("iss", json!("https://id.example.org")), issuer);
    assert_eq!(with("iss", json!(null)), issuer);
    // Nobody asked for them, so they may be anything.
    assert_eq!(admit(&with_jwt(&rules()), &signed(&good)), Ok(READ_WRITE));
}

#[test]
fn a_token_is_good_in_the_stores_that_it_names() {
    let store = |claim: Value| admit_claims(&json!({ "store": claim }));
    assert_eq!(store(json!("shop")), Ok(READ_WRITE));
    assert_eq!(store(json!(["other", "shop"])), Ok(READ_WRITE));
    assert_eq!(store(json!("*")), Ok(READ_WRITE));
    for other in [
        json!("shops"),
        json!("SHOP"),
        json!([]),
        json!(null),
        json!({ "shop": true }),
    ] {
        assert_eq!(store(other.clone()), Err(Denied::OtherStore), "{other}");
    }
    let renamed = with_jwt(&JwtRules {
        store_claim: "https://example.com/stores",
        ..rules()
    });
    let token = signed(&json!({ "https://example.com/stores": ["shop"] }));
    assert_eq!(admit(&renamed, &token), Ok(READ_WRITE));
    let token = signed(&json!({ "store": "shop" }));
    assert_eq!(admit(&renamed, &token), Err(Denied::OtherStore));
}

#[test]
fn a_token_says_what_may_be_done_and_an_unknown_word_is_not_taken_for_all() {
    let mode = |claim: Value| admit_claims(&json!({ "store": "shop", "mode": claim }));
    assert_eq!(mode(json!("read-only")), Ok(READ_ONLY));
    assert_eq!(mode(json!("read-write")), Ok(READ_WRITE));
    for odd in [json!("readonly"), json!(null), json!(["read-write"])] {
        assert!(matches!(mode(odd), Err(Denied::Invalid(_))));
    }
}

#[test]
fn an_extension_that_must_be_understood_is_refused() {
    let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&header, &json!({ "store": "shop" }), &key).expect("it can be signed");
    let refused = Denied::Invalid("it needs an extension of JWT");
    assert_eq!(admit(&with_jwt(&rules()), &token), Err(refused));
}

#[test]
fn tokens_of_both_kinds_work_beside_each_other() {
    let access = Access::new([("s3cret", Rights::ReadOnly)], Some(&rules())).expect("a good key");
    assert_eq!(admit(&access, "s3cret"), Ok(READ_ONLY));
    let token = signed(&json!({ "store": "shop" }));
    assert_eq!(admit(&access, &token), Ok(READ_WRITE));
    assert_eq!(admit(&access, "s3cre"), Err(UNSIGNED));
}

#[test]
fn a_key_that_does_not_fit_is_refused() {
    for (algorithm, key) in [
        (Algorithm::Rs256, ED_PUBLIC),
        (Algorithm::EdDsa, RSA_PUBLIC),
        (Algorithm::Rs256, "no key"),
    ] {
        let rules = JwtRules {
            algorithm,
            key,
            ..rules()
        };
        assert!(Access::new([], Some(&rules)).is_err(), "{algorithm:?}");
    }
}

#[test]
fn neither_debug_output_nor_an_error_shows_a_credential() {
    let access = Access::new([("s3cret", Rights::ReadOnly)], Some(&rules())).expect("a good key");
    let shown = format!("{access:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("secret of"),
        "{shown}"
    );
    let token = signed(&json!({ "store": "private-store" }));
    let error = admit(&access, &token).expect_err("another store");
    assert!(!error.to_string().contains("private-store"), "{error}");
}

#[test]
fn rules_are_equal_only_if_nothing_of_them_differs() {
    let tokens =
        |tokens: &[(&str, Rights)]| Access::new(tokens.iter().copied(), None).expect("no key");
    let one = [("s3cret", Rights::ReadWrite)];
    assert_eq!(tokens(&one), tokens(&one));
    assert_ne!(tokens(&one), tokens(&[]));
    assert_ne!(tokens(&one), tokens(&[("s3cret", Rights::ReadOnly)]));
    assert_ne!(tokens(&one), tokens(&[("other", Rights::ReadWrite)]));
    let same = with_jwt(&rules());
    assert_eq!(with_jwt(&rules()), same);
    assert_ne!(tokens(&[]), same);
    for other in [
        JwtRules {
            key: "another secret of thirty-two bytes",
            ..rules()
        },
        JwtRules {
            algorithm: Algorithm::EdDsa,
            key: ED_PUBLIC,
            ..rules()
        },
        JwtRules {
            issuer: Some("us"),
            ..rules()
        },
        JwtRules {
            audience: Some("us"),
            ..rules()
        },
        JwtRules {
            store_claim: "stores",
            ..rules()
        },
        JwtRules {
            mode_claim: "rights",
            ..rules()
        },
    ] {
        assert_ne!(with_jwt(&other), same, "{other:?}");
    }
}
