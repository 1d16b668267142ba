//! What cannot work is told in one line.

use clap::Parser as _;

use super::*;
use crate::cli::Args;

const SECRET: &str = "--secret=a secret of the tests, 32 bytes ++";

fn told(line: &[&str]) -> String {
    let scenario = Scenario::Room { members: 10, senders: 2 };
    told_of(line, scenario)
}

fn told_of(line: &[&str], scenario: Scenario) -> String {
    let args = Args::try_parse_from(["starling-load"].iter().chain(line).chain(&["idle"])).unwrap();
    let line = format!("{:#}", Plan::new(&args.options, scenario).unwrap_err());
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn bad_words_are_told_in_one_line_that_says_what_to_mend() {
    for (line, wanted) in [
        (&["--api", "nowhere", SECRET][..], "no URL"),
        (&["--api", "ftp://127.0.0.1", SECRET], "no http://"),
        (&["--api", "http://chat.example.com", SECRET], "--i-own-this-server"),
        (&["--gateways", "http://127.0.0.1:1,http://10.0.0.7:1", SECRET], "http://10.0.0.7:1 is not on this machine"),
        (&["--metrics", "http://10.0.0.7:1", SECRET], "not on this machine"),
        (&["--secret", "short"], "shorter than 32"),
        (&["--rate", "0", SECRET], "--rate 0"),
        (&["--rate", "1e-20", SECRET], "--rate 0.00000000000000000001 is not from 0.001"),
        (&["--ramp", "1e-20", SECRET], "is not from 0.001"),
        (&["--rate", "5", "--in-flight", "2", SECRET], "--in-flight does nothing with --rate"),
        (&["--spawn", "1", "--api", "http://127.0.0.1:1"], "--api does nothing with --spawn"),
        (&["--spawn", "1", "--gateways", "http://127.0.0.1:1"], "--gateways does nothing with --spawn"),
        (&["--spawn", "1", "--metrics", "http://10.0.0.7:1"], "http://10.0.0.7:1 is not on this machine"),
        (&["--spawn", "1", "--secret", "short"], "shorter than 32"),
        (
            &["--spawn", "1", "--node-env", "DATABASE_URL=postgres://u:p@db.example.com/x"],
            "db.example.com is not on this",
        ),
        (
            &["--spawn", "2", "--database-url", "postgres://u:p@10.0.0.7:5432/x", "--redis-url", "redis://127.0.0.1"],
            "10.0.0.7 is not on this machine",
        ),
        (
            &[
                "--spawn",
                "2",
                "--database-url",
                "postgres:///x",
                "--redis-url",
                "redis+sentinel://[::1]:1,10.0.0.8:2/m",
            ],
            "10.0.0.8 is not on this machine",
        ),
        (&["--ramp", "0", SECRET], "--ramp 0"),
        (&["--run", "a b", SECRET], "--run"),
        (&["--chaos", SECRET], "--chaos needs --spawn"),
        (&["--node-env", "A=1", SECRET], "--node-env needs --spawn"),
        (&["--spawn", "1", "--chaos", "often"], "neither every=5s"),
        (&["--spawn", "1", "--chaos", "kinds=bite"], "`bite` is none of"),
        (&["--spawn", "1", "--chaos", "every=0s"], "every=`0s`"),
        (&["--spawn", "1", "--node-env", "A"], "not NAME=VALUE"),
    ] {
        let said = told(line);
        assert!(said.contains(wanted), "{line:?}: {said}");
    }
    let senders = Scenario::Room { members: 3, senders: 4 };
    assert!(told_of(&[SECRET], senders).contains("--senders 4 is not from 1 to --members 3"));
    let rooms = Scenario::Rooms { rooms: 2, members: 10, users: Some(5) };
    assert!(told_of(&[SECRET], rooms).contains("--members 10 is more than --users 5"));
    let storm = Scenario::Storm { sockets: 1, share: 1.5, waves: 1, within: 1 };
    assert!(told_of(&[SECRET], storm).contains("--share 1.5"));
    let idle = || Scenario::Idle { sockets: 1, conversations: 1 };
    for option in ["--rate", "--in-flight", "--size"] {
        let said = told_of(&[SECRET, option, "100"], idle());
        assert!(said.contains(&format!("{option} does nothing in `idle`")), "{said}");
    }
    let joins = Scenario::Joins { joiners: 1, members: 1, within: 1 };
    assert!(told_of(&[SECRET, "--in-flight", "2"], joins).contains("does nothing in `joins`"));
}

#[test]
fn chaos_is_read() {
    let chaos = Chaos::parse("every=2.5s,kinds=kill+freeze").unwrap();
    assert_eq!((chaos.every, chaos.kinds.len()), (Duration::from_millis(2_500), 2));
}

#[test]
fn nodes_of_its_own_have_the_secret_that_was_named_beside_tokens_too() {
    let line = ["starling-load", "--spawn", "1", "--tokens", "file", SECRET, "idle"];
    let args = Args::try_parse_from(line).unwrap();
    let plan = Plan::new(&args.options, Scenario::Idle { sockets: 1, conversations: 1 }).unwrap();
    assert!(plan.secret.is_some());
}
