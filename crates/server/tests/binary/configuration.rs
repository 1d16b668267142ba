//! What the binary says about its configuration before it does anything.

use std::{fs, net::TcpListener};

use starling_tests::process::temp_dir;

use crate::support::{refused, run, run_in};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_configuration_that_cannot_work_is_one_line_and_exit_code_2() {
    let postgres = ("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d");
    let redis = ("REDIS_URL", "redis://:hunter2@127.0.0.1:1");
    for (args, env, wanted) in [
        (&["serve"][..], &[("STARLING_LISTEN", "nonsense")][..], "STARLING_LISTEN: "),
        (&["serve", "--listen", "nonsense"], &[], "STARLING_LISTEN: "),
        (&["serve"], &[("STARLING_LISSTEN", "x")], "STARLING_LISSTEN: "),
        (&["serve"], &[("STARLING_LOG", "loud")], "STARLING_LOG: \"loud\" has \"loud\", which is neither a level"),
        (&["serve", "--log", "info,loud"], &[], "STARLING_LOG: \"info,loud\" (flag --log) has \"loud\", which"),
        (&["serve"], &[("STARLING_TEST_WEAKEN", "everything")], "STARLING_TEST_WEAKEN: "),
        (&["serve"], &[("STARLING_JWT_SECRET", "hunter2")], "STARLING_JWT_SECRET: "),
        (&["serve"], &[("STARLING_JWT_SECRETS_PREVIOUS", "hunter2")], "STARLING_JWT_SECRETS_PREVIOUS: "),
        (&["serve"], &[("STARLING_CONFIG", "/nowhere.toml")], "STARLING_CONFIG: "),
        (&["serve"], &[postgres], "REDIS_URL: "),
        (&["serve"], &[redis], "DATABASE_URL: "),
        (&["serve"], &[postgres, redis], "STARLING_JWT_SECRET: "),
        (&["serve"], &[("DATABASE_URL", "sqlite:x.db")], "DATABASE_URL: "),
        (&["gateway"], &[], "DATABASE_URL: "),
        (&["api"], &[], "DATABASE_URL: "),
        (&["migrate"], &[], "DATABASE_URL: "),
        (&["check"], &[postgres], "REDIS_URL: "),
        (&["config"], &[redis], "DATABASE_URL: "),
        (&["token", "--sub", "ada"], &[], "STARLING_JWT_SECRET: "),
        (&["serve"], &[("STARLING_DATA_DIR", "/proc/nowhere")], "STARLING_DATA_DIR: "),
        (
            &["serve"],
            &[("STARLING_LISTEN", "127.0.0.1:0"), ("STARLING_JWT_PUBLIC_KEY_FILES", "/nowhere.pem")],
            "STARLING_JWT_PUBLIC_KEY_FILES: ",
        ),
        (
            &["serve"],
            &[("STARLING_LISTEN", "127.0.0.1:0"), ("STARLING_JWT_PUBLIC_KEY_FILES", "/etc/hostname")],
            "STARLING_JWT_PUBLIC_KEY_FILES: ",
        ),
    ] {
        let line = refused(args, env).await;
        assert!(line.starts_with(wanted), "{args:?} {env:?}: {line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_a_finding_for_who_checks_with_json() {
    let refused = run(&["check", "--json"], &[("STARLING_LISTEN", "nonsense")]).await;
    assert_eq!(refused.code, Some(2));
    let found: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!((&found["ok"], &found["findings"][0]["part"]), (&false.into(), &"configuration".into()), "{found}");
    let line = found["findings"][0]["what"].as_str().unwrap();
    assert!(line.starts_with("STARLING_LISTEN: "), "{line}");
    assert_eq!(refused.stderr.trim(), format!("starling: {line}"));
}

#[tokio::test]
async fn a_port_in_use_is_told_with_the_setting_that_named_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refused(&["serve"], &[("STARLING_LISTEN", &address)]).await;
    assert!(line.starts_with(&format!("STARLING_LISTEN: {address} is in use")), "{line}");
    let env = [("STARLING_LISTEN", "127.0.0.1:0"), ("STARLING_ADMIN_LISTEN", address.as_str())];
    let line = refused(&["serve"], &env).await;
    assert!(line.starts_with("STARLING_ADMIN_LISTEN: "), "{line}");
    let line = refused(&["serve"], &[("STARLING_LISTEN", "no-such-host.invalid:0")]).await;
    assert!(line.starts_with("STARLING_LISTEN: "), "{line}");
}

#[tokio::test]
async fn the_configuration_is_printed_with_origins_and_without_secrets() {
    let dir = temp_dir("config").unwrap();
    let file = dir.path().join("starling.toml");
    fs::write(&file, "heartbeat = \"7s\"\njwt_secret = \"0123456789abcdef0123456789abcdef\"\n").unwrap();
    let env = [
        ("DATABASE_URL", "postgres://u:hunter2@db/starling?password=hunter2"),
        ("REDIS_URL", "redis://:hunter2@redis"),
        ("STARLING_CONFIG", file.to_str().unwrap()),
        ("STARLING_COMMAND_RATE", "5"),
    ];
    for args in [&["config", "--log", "warn"][..], &["config", "--json", "--log", "warn"]] {
        let ended = run(args, &env).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        assert!(!ended.stdout.contains("hunter2") && !ended.stdout.contains(SECRET), "{}", ended.stdout);
        for origin in
            ["flag --log", "environment STARLING_COMMAND_RATE", "default", &format!("file {}", file.display())]
        {
            assert!(ended.stdout.contains(origin), "{origin}: {}", ended.stdout);
        }
    }
    let json: serde_json::Value = serde_json::from_str(&run(&["config", "--json"], &env).await.stdout).unwrap();
    assert_eq!(json["mode"], "cluster");
    let settings = json["settings"].as_array().unwrap();
    assert!(settings.iter().filter(|one| one["source"] == "default").count() > 20, "{json}");
}

#[tokio::test]
async fn a_token_is_minted_and_wrong_usage_is_exit_code_2() {
    let minted = run(
        &[
            "token",
            "--sub",
            "42",
            "--name",
            "Ada",
            "--username",
            "ada",
            "--org",
            "acme",
            "--role",
            "admin",
            "--ttl",
            "5m",
        ],
        &[("STARLING_JWT_SECRET", SECRET)],
    )
    .await;
    assert_eq!((minted.code, minted.stdout.trim().split('.').count()), (Some(0), 3), "{minted:?}");
    for args in
        [&["token"][..], &["token", "--sub", "42", "--ttl", "soon"], &["unheard-of"], &["serve", "--unheard-of"]]
    {
        assert_eq!(run(args, &[]).await.code, Some(2), "{args:?}");
    }
    let help = run(&["serve", "--help"], &[]).await;
    assert!(help.stdout.contains("--listen") && !help.stdout.contains("--jwt-secret"), "{}", help.stdout);
}

#[tokio::test]
async fn a_check_reminds_of_secrets_that_are_accepted_still_and_tells_none() {
    let previous = "hunter2 hunter2 hunter2 hunter2 hunter2";
    let env = [("STARLING_JWT_SECRET", SECRET), ("STARLING_JWT_SECRETS_PREVIOUS", previous)];
    let ended = run(&["check"], &env).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let reminds = |line: &str| line.starts_with("warn  previous secrets: 1 beside STARLING_JWT_SECRET");
    assert!(ended.stdout.lines().any(reminds), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    let ended = run(&["check"], &env[..1]).await;
    assert!(!ended.stdout.contains("previous secrets"), "{ended:?}");
}

#[tokio::test]
async fn checking_before_the_first_start_makes_nothing() {
    let home = temp_dir("home").unwrap();
    let ended = run_in(home.path(), &["check"], &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("will be made on the first start"), "{ended:?}");
    assert!(!home.path().join(".local").exists());
}
