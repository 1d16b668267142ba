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
}

#[test]
fn chaos_is_read() {
    let chaos = Chaos::parse("every=2.5s,kinds=kill+freeze").unwrap();
    assert_eq!((chaos.every, chaos.kinds.len()), (Duration::from_millis(2_500), 2));
}
