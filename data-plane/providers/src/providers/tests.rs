use super::*;
use std::fs;

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

/// All three, on a folder with `db.properties` and a file `token`.
fn providers() -> (tempfile::TempDir, Providers, Hidden) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap().to_owned();
    fs::write(
        folder.path().join("db.properties"),
        "user=scott\npassword=open sesame\n",
    )
    .unwrap();
    fs::write(folder.path().join("token"), "abcdef\n").unwrap();
    let hidden = Hidden::default();
    let worker = map(&[
        ("config.providers", "file, dir,env,none"),
        (
            "config.providers.file.class",
            "org.apache.kafka.common.config.provider.FileConfigProvider",
        ),
        ("config.providers.file.param.allowed.paths", &at),
        ("config.providers.dir.class", "DirectoryConfigProvider"),
        ("config.providers.dir.param.allowed.paths", &at),
        ("config.providers.env.class", "EnvVar"),
        ("config.providers.env.param.allowlist.pattern", "PATH|NO_.*"),
    ]);
    let providers = Providers::of_worker(&worker, hidden.clone()).unwrap();
    (folder, providers, hidden)
}

fn refused(providers: &Providers, text: &str) -> String {
    let error = providers.resolve_blocking(Whose::Connector, &map(&[("key", text)]));
    error
        .err()
        .map_or_else(|| panic!("{text} is taken"), |error| error.to_string())
}

#[test]
fn each_provider_gives_what_kafkas_gives() {
    let (folder, providers, hidden) = providers();
    let at = folder.path().display();
    let written = map(&[
        ("url", &format!("jdbc://${{file:{at}/db.properties:user}}@db")),
        ("password", &format!("${{file:{at}/db.properties:password}}")),
        ("token", &format!("${{dir:{at}:token}}")),
        ("path", "${env:PATH}"),
        ("not.ours", "${topic} ${none:x} ${other:a:b}"),
    ]);
    assert!(providers.are_used_by(&written));
    let resolved = providers.resolve_blocking(Whose::Connector, &written).unwrap();
    let config = resolved.config();
    assert_eq!(config["url"], "jdbc://scott@db");
    assert_eq!(config["password"], "open sesame");
    assert_eq!(config["token"], "abcdef\n", "nothing is trimmed, as in Kafka");
    assert_eq!(config["path"], std::env::var("PATH").unwrap());
    assert_eq!(config["not.ours"], written["not.ours"]);
    assert_eq!(
        hidden.hide("cannot log in with open sesame"),
        format!("cannot log in with ${{file:{at}/db.properties:password}}")
    );
    assert!(!providers.are_used_by(&map(&[("not.ours", "${topic} ${none:x}")])));
}

#[test]
fn a_rotated_value_makes_another_configuration() {
    let (folder, providers, _) = providers();
    let file = folder.path().join("db.properties");
    let written = map(&[("password", &format!("${{file:{}:password}}", file.display()))]);
    let before = providers.resolve_blocking(Whose::Connector, &written).unwrap();
    fs::write(&file, "user=other\npassword=open sesame\n").unwrap();
    let same = providers.resolve_blocking(Whose::Connector, &written).unwrap();
    assert!(before == same, "another key of the file is no change");
    fs::write(&file, "password=new\n").unwrap();
    assert!(before != providers.resolve_blocking(Whose::Connector, &written).unwrap());
}

#[test]
fn what_has_no_value_or_may_not_be_read_is_refused_with_the_reason() {
    let (folder, providers, _) = providers();
    let at = folder.path().to_str().unwrap();
    for (text, expected) in [
        (
            format!("${{file:{at}/db.properties:absent}}"),
            "in key has no value".to_owned(),
        ),
        (format!("${{dir:{at}:absent}}"), format!("has no key absent at {at}")),
        (format!("${{dir:{at}:../{}/token}}", "x"), "has no value".to_owned()),
        (
            format!("${{file:{at}/no.properties:a}}"),
            "Could not read properties from file".to_owned(),
        ),
        (format!("${{dir:{at}/no:a}}"), "Could not list directory".to_owned()),
        (
            "${file:/etc/passwd:root}".to_owned(),
            "/etc/passwd may not be read".to_owned(),
        ),
        (format!("${{file:{at}/../passwd:root}}"), "may not be read".to_owned()),
        ("${env:HOME}".to_owned(), "Variable HOME may not be read".to_owned()),
        (
            "${env:NO_SUCH}".to_owned(),
            "the config provider env has no key NO_SUCH".to_owned(),
        ),
        (
            "${env:a:b}".to_owned(),
            "Path is not supported for EnvVarConfigProvider, invalid value 'a'".to_owned(),
        ),
    ] {
        let shown = refused(&providers, &text);
        assert!(shown.contains(&expected), "{text}: {shown}");
        assert!(!shown.contains("sesame"));
    }
}

#[test]
fn a_worker_that_names_what_is_not_there_is_refused() {
    let refused = |pairs: &[(&str, &str)]| {
        let read = Providers::of_worker(&map(pairs), Hidden::default());
        read.expect_err("it is refused").to_string()
    };
    let shown = refused(&[
        ("config.providers", "v"),
        ("config.providers.v.class", "VaultConfigProvider"),
    ]);
    assert!(
        shown.starts_with("Failed to find any class that implements ConfigProvider and which name matches VaultConfigProvider, available"),
        "{shown}"
    );
    let shown = refused(&[
        ("config.providers", "e"),
        ("config.providers.e.class", "EnvVarConfigProvider"),
        ("config.providers.e.param.allowlist.pattern", "("),
    ]);
    assert!(shown.contains("config.providers.e.param.allowlist.pattern"), "{shown}");
    let shown = refused(&[
        ("config.providers", "f"),
        ("config.providers.f.class", "FileConfigProvider"),
        ("config.providers.f.param.allowed.paths", "/no/such"),
    ]);
    assert!(shown.contains("/no/such does not exist"), "{shown}");
}
