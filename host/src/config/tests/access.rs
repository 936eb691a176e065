//! What is said about embedded stores: who may sync with them, how much, and what must never be left open by mistake.

use std::net::IpAddr;
use std::path::PathBuf;

use super::*;
use crate::config::{Algorithm, Hidden, Limits, Mode, Sync, Token};
use crate::store::Durability;

const RSA_PUBLIC: &str = include_str!("../../backend/access/tests/rsa-public.pem");
const RSA_PRIVATE: &str = include_str!("../../backend/access/tests/rsa-private.pem");
const ED_PUBLIC: &str = include_str!("../../backend/access/tests/ed25519-public.pem");
const SECRET: &str = "canary canary canary canary canary";

/// One embedded store's file in lines.
fn shop(text: &str) -> Setup {
    Setup::main("[defaults]\nsync = \"embedded\"\n").file("stores/shop.toml", text)
}

/// A store whose tokens are signed as `algorithm` says, with `key` in a file.
fn shop_with_key(algorithm: &str, key: &str) -> Setup {
    let setup = Setup::new().file("key", key);
    let path: PathBuf = setup.path().join("key");
    setup
        .file("quartermaster.toml", "[defaults]\nsync = \"embedded\"\n")
        .file(
            "stores/shop.toml",
            format!(
                "[access.jwt]\nalgorithm = \"{algorithm}\"\nkey = \"file:{}\"\n",
                path.display()
            ),
        )
}

#[track_caller]
fn assert_problems(setup: &Setup, expected: &[&str]) {
    assert_eq!(setup.problems(), expected);
}

fn token(name: &str, secret: &str, mode: Mode) -> Token {
    Token {
        name: name.to_owned(),
        secret: Hidden::new(secret.into()),
        mode,
    }
}

#[test]
fn everything_about_an_embedded_store_is_read() {
    let store = shop(
        r#"
        log_durability = "normal"
        [access]
        origins = ["https://app.example.com/", "HTTP://LOCALHOST:5173", "https://app.example.com:443", "tauri://localhost"]
        [access.tokens]
        app = "env:APP"
        dashboard = { secret = "env:DASHBOARD", mode = "read-only" }
        [access.jwt]
        algorithm = "HS256"
        key = "env:KEY"
        issuer = "https://id.example.com"
        audience = "quartermaster"
        store_claim = "stores"
        mode_claim = "may"
        [limits]
        connections = "2k"
        connections_per_address = 7
        events_per_second = "1k"
        message_size = "1MiB"
        log_size = "1GiB"
        "#,
    )
    .variables(&[("APP", "canary-1"), ("DASHBOARD", "canary-2"), ("KEY", SECRET)])
    .only_store();
    assert_eq!(store.sync, Sync::Embedded);
    assert_eq!(store.log_durability, Durability::Normal);
    assert_eq!(
        store.access.tokens,
        [
            token("app", "canary-1", Mode::ReadWrite),
            token("dashboard", "canary-2", Mode::ReadOnly),
        ]
    );
    let origins = [
        "https://app.example.com",
        "http://localhost:5173",
        "https://app.example.com",
        "tauri://localhost",
    ];
    assert_eq!(
        store.access.origins.as_deref(),
        Some(&origins.map(str::to_owned)[..])
    );
    let jwt = store.access.jwt.as_ref().expect("signed tokens");
    assert_eq!(jwt.algorithm, Algorithm::Hs256);
    assert_eq!(jwt.key.expose_text(), SECRET);
    assert_eq!(jwt.issuer.as_deref(), Some("https://id.example.com"));
    assert_eq!(jwt.audience.as_deref(), Some("quartermaster"));
    assert_eq!((&*jwt.store_claim, &*jwt.mode_claim), ("stores", "may"));
    let limits = Limits {
        connections: 2000,
        connections_per_address: 7,
        events_per_second: 1000,
        message_size: 1 << 20,
        log_size: 1 << 30,
    };
    assert_eq!(store.limits, limits);
    let shown = format!("{store:?}");
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn what_is_not_said_about_an_embedded_store_has_its_default() {
    let store = shop("").only_store();
    assert_eq!(store.log_durability, Durability::Full);
    assert_eq!(store.access.tokens, []);
    assert_eq!(store.access.jwt, None);
    assert_eq!(store.access.origins, None);
    assert_eq!(store.limits, Limits::default());
    for (algorithm, key) in [("RS256", RSA_PUBLIC), ("EdDSA", ED_PUBLIC)] {
        let jwt = shop_with_key(algorithm, key).only_store().access.jwt;
        let jwt = jwt.expect("signed tokens");
        assert_eq!((&*jwt.store_claim, &*jwt.mode_claim), ("store", "mode"));
        assert_eq!((jwt.issuer, jwt.audience), (None, None));
    }
}

#[test]
fn a_store_overrides_the_defaults_key_by_key_and_its_tokens_as_a_whole() {
    let loaded = Setup::main(
        r#"
        [defaults]
        sync = "embedded"
        limits = { connections = 10, events_per_second = 20 }
        access.tokens = { app = "env:KEY", other = "env:KEY" }
        access.origins = ["https://a.example.com", "https://b.example.com"]
        access.jwt = { algorithm = "HS256", key = "env:KEY" }
        [stores.own]
        limits.connections = 30
        access.tokens = { mine = "env:KEY" }
        access.origins = ["https://c.example.com"]
        access.jwt.audience = "own"
        [stores.plain]
        [stores.elsewhere]
        sync = "wss://sync.example.com"
        "#,
    )
    .variables(&[("KEY", SECRET)])
    .good();
    let [elsewhere, own, plain] = loaded.config.stores() else {
        panic!("expected three stores");
    };
    let names = |store: &StoreConfig| -> Vec<String> {
        let tokens = store.access.tokens.iter();
        tokens.map(|token| token.name.clone()).collect()
    };
    assert_eq!(names(own), ["mine"]);
    assert_eq!(names(plain), ["app", "other"]);
    let origins = own.access.origins.as_deref();
    assert_eq!(origins, Some(&["https://c.example.com".to_owned()][..]));
    let jwt = own.access.jwt.as_ref().expect("that of the defaults");
    assert_eq!(jwt.audience.as_deref(), Some("own"));
    assert_eq!(
        (own.limits.connections, own.limits.events_per_second),
        (30, 20)
    );
    assert_eq!(plain.limits.connections, 10);
    // The defaults are not meant for a log that is kept elsewhere.
    assert_eq!(elsewhere.access, crate::config::Access::default());
}

#[test]
fn one_half_of_the_rules_for_signed_tokens_may_stand_in_the_defaults() {
    let setup = Setup::main(
        r#"
        [defaults]
        sync = "embedded"
        access.jwt.algorithm = "HS256"
        [stores.shop]
        access.jwt.key = "env:KEY"
        "#,
    )
    .variables(&[("KEY", SECRET)]);
    let jwt = setup.only_store().access.jwt.expect("signed tokens");
    assert_eq!(jwt.algorithm, Algorithm::Hs256);
    assert_problems(
        &shop("[access.jwt]\nissuer = \"me\"\n"),
        &[
            "config/stores/shop.toml: access.jwt.algorithm: missing; signed tokens need both access.jwt.algorithm and \
             access.jwt.key",
            "config/stores/shop.toml: access.jwt.key: missing; signed tokens need both access.jwt.algorithm and \
             access.jwt.key",
        ],
    );
}

#[test]
fn a_key_of_the_defaults_that_does_not_fit_a_store_s_algorithm_is_the_store_s_mistake() {
    assert_problems(
        &Setup::main(
            "[defaults]\nsync = \"embedded\"\naccess.jwt.key = \"env:KEY\"\n[stores.shop]\naccess.jwt.algorithm = \
             \"RS256\"\n",
        )
        .variables(&[("KEY", SECRET)]),
        &[
            "config/quartermaster.toml:5: stores.shop.access.jwt.algorithm: expected an RSA public key as PEM, found a \
             text that is none",
        ],
    );
}

#[test]
fn a_key_that_cannot_be_used_is_told_and_not_repeated() {
    let told = |algorithm: &str, key: &str| {
        let problems = shop_with_key(algorithm, key).problems();
        let [problem] = problems.as_slice() else {
            panic!("expected one problem, found {problems:?}");
        };
        let text = problem.strip_prefix("config/stores/shop.toml:3: access.jwt.key: ");
        text.unwrap_or_else(|| panic!("{problem}")).to_owned()
    };
    assert_eq!(
        told("HS256", "canary-canary-canary-canary-123"),
        "expected a secret of at least 32 bytes, found one of 31; a shorter one can be guessed from any token signed \
         with it"
    );
    let rsa = "expected an RSA public key as PEM, found a";
    let ed = "expected an Ed25519 public key as PEM, found a";
    assert_eq!(told("RS256", "canary"), format!("{rsa} text that is none"));
    assert_eq!(told("RS256", ED_PUBLIC), format!("{rsa} text that is none"));
    assert_eq!(told("EdDSA", RSA_PUBLIC), format!("{ed} text that is none"));
    assert_eq!(
        told("RS256", RSA_PRIVATE),
        format!("{rsa} private key; only who signs tokens needs that one; give the public one")
    );
}

#[test]
fn credentials_stand_in_the_configuration_by_reference_only() {
    let setup = shop(
        "[access.tokens]\napp = \"canary\"\nnumber = 5\nnone = { mode = \"read-only\" }\nodd = { secret = \
         \"env:MISSING\", mode = \"write\" }\n[access.jwt]\nalgorithm = \"none\"\nkey = \"canary\"\n",
    );
    let clear = "a secret stands here in clear; put it into an environment variable and write \"env:NAME\", or into a \
                 file and write \"file:/path\"";
    assert_problems(
        &setup,
        &[
            &format!("config/stores/shop.toml:2: access.tokens.app: {clear}"),
            "config/stores/shop.toml:3: access.tokens.number: expected a reference such as \"env:NAME\" or \
             \"file:/path\", found an integer",
            "config/stores/shop.toml:4: access.tokens.none: expected secret = \"env:NAME\" in it, found none",
            "config/stores/shop.toml:5: access.tokens.odd.mode: expected one of \"read-write\", \"read-only\", found \
             \"write\"",
            "config/stores/shop.toml:5: access.tokens.odd.secret: environment variable MISSING is not set; set it for \
             this process or in .env",
            "config/stores/shop.toml:7: access.jwt.algorithm: expected one of \"HS256\", \"RS256\", \"EdDSA\", found \
             \"none\"",
            &format!("config/stores/shop.toml:8: access.jwt.key: {clear}"),
        ],
    );
}

#[test]
fn an_origin_is_scheme_host_and_port_and_nothing_else() {
    let origin = "expected an origin such as \"https://app.example.com\", found";
    let rest = "leave out what is not scheme, host and port";
    assert_problems(
        &shop(
            "access.origins = [\n\"https://app.example.com/path\",\n\"app.example.com\",\n\"*\",\n5,\n\
             \"https://user@app.example.com\",\n]\n",
        ),
        &[
            &format!(
                "config/stores/shop.toml:2: access.origins: {origin} \"https://app.example.com/path\"; {rest}"
            ),
            &format!("config/stores/shop.toml:3: access.origins: {origin} \"app.example.com\""),
            &format!("config/stores/shop.toml:4: access.origins: {origin} \"*\""),
            &format!("config/stores/shop.toml:5: access.origins: {origin} 5"),
            &format!(
                "config/stores/shop.toml:6: access.origins: {origin} \"https://user@app.example.com\"; {rest}"
            ),
        ],
    );
}

#[test]
fn a_store_that_anyone_in_the_network_could_write_does_not_run() {
    let setup = |listen: &str, access: &str| {
        Setup::main(&format!(
            "[server]\nlisten = \"{listen}\"\n[stores.shop]\nsync = \"embedded\"\n{access}\n"
        ))
        .variables(&[("KEY", SECRET)])
    };
    assert_problems(
        &setup("0.0.0.0:7070", ""),
        &[
            "config/quartermaster.toml:3: stores.shop.access: anyone who reaches server.listen (0.0.0.0:7070) could read \
             and write it; give it access.tokens or access.jwt, or listen on a loopback address",
        ],
    );
    setup("[::1]:7070", "").good();
    setup("0.0.0.0:7070", "access.tokens.app = \"env:KEY\"").good();
    let jwt = "access.jwt = { algorithm = \"HS256\", key = \"env:KEY\" }";
    setup("0.0.0.0:7070", jwt).good();
}

#[test]
fn rules_for_a_log_that_is_kept_elsewhere_are_told_apart_from_defaults() {
    let misplaced = "this store's log is at another backend, which has its own rules; leave it out, or set sync = \
                     \"embedded\" to keep the log here";
    assert_problems(
        &Setup::main(
            "[defaults]\nsync = \"wss://sync.example.com\"\nlimits.connections = 1\n[stores.plain]\n[stores.shop]\n\
             log_durability = \"full\"\nlimits.connections = 2\naccess = {}\n",
        ),
        &[
            &format!("config/quartermaster.toml:6: stores.shop.log_durability: {misplaced}"),
            &format!("config/quartermaster.toml:7: stores.shop.limits: {misplaced}"),
            &format!("config/quartermaster.toml:8: stores.shop.access: {misplaced}"),
        ],
    );
}

#[test]
fn limits_and_addresses_of_the_process_are_read_from_files_and_variables() {
    let setup = Setup::main(
        "[server]\nconnections_per_address = 3\nconnects_per_minute = \"1k\"\ntrusted_proxies = [\"10.0.0.1\", \
         \"::1\"]\n",
    );
    let server = setup.good().config.server().clone();
    assert_eq!(server.connections_per_address, 3);
    assert_eq!(server.connects_per_minute, 1000);
    let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
    assert_eq!(server.trusted_proxies, [ip("10.0.0.1"), ip("::1")]);
    let variables = [
        ("QM_SERVER__TRUSTED_PROXIES", "10.0.0.2,10.0.0.3"),
        ("QM_DEFAULTS__SYNC", "embedded"),
        ("QM_DEFAULTS__ACCESS__TOKENS", "{ app = \"env:KEY\" }"),
        ("QM_DEFAULTS__ACCESS__ORIGINS", "https://a.example.com"),
        ("KEY", "canary"),
        ("STORE_IDS", "shop"),
    ];
    let loaded = setup.variables(&variables).good();
    let proxies = &loaded.config.server().trusted_proxies;
    assert_eq!(proxies.as_slice(), [ip("10.0.0.2"), ip("10.0.0.3")]);
    let access = &loaded.config.stores()[0].access;
    assert_eq!(access.tokens, [token("app", "canary", Mode::ReadWrite)]);
    let origins = access.origins.as_deref();
    assert_eq!(origins, Some(&["https://a.example.com".to_owned()][..]));
    assert_problems(
        &Setup::main("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\nconnects_per_minute = 0\n"),
        &[
            "config/quartermaster.toml:2: server.trusted_proxies: expected an IP address such as \"10.0.0.1\", found \
             \"10.0.0.0/8\"",
            "config/quartermaster.toml:3: server.connects_per_minute: expected a count from 1 to 1000000, found 0",
        ],
    );
}
