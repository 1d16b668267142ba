//! Mentions in texts that people write, and ranges that programs send.

use proptest::prelude::*;
use protocol::{OrgId, OrgRole, Timestamp};

use super::*;

fn user(username: &str) -> User {
    User {
        id: UserId::generate(),
        org_id: OrgId::generate(),
        username: username.into(),
        display_name: username.into(),
        avatar_url: None,
        status_text: None,
        role: OrgRole::Member,
        guest: false,
        disabled_at: None,
        created_at: Timestamp::from_unix_millis(1_790_000_000_000).unwrap(),
    }
}

/// What is mentioned, as the text of each range.
fn mentioned(content: &str, names: &[&str]) -> Vec<String> {
    let users: Vec<_> = names.iter().map(|name| user(name)).collect();
    let units: Vec<u16> = content.encode_utf16().collect();
    let text = |found: Found| {
        let (from, to) = (found.offset as usize, (found.offset + found.length) as usize);
        String::from_utf16(&units[from..to]).unwrap()
    };
    find(content, &users).into_iter().map(text).collect()
}

#[test]
fn a_name_after_an_at_sign_is_a_mention_whatever_the_case_of_its_letters() {
    for (content, names, expected) in [
        ("hello @ann!", &["ann"][..], &["@ann"][..]),
        ("@Ann and @BEN", &["ann", "Ben"], &["@Ann", "@BEN"]),
        ("(@ann)/@ben,@cat", &["ann", "ben", "cat"], &["@ann", "@ben", "@cat"]),
        ("@annabel", &["ann"], &[]),
        ("@ann", &["annabel"], &[]),
        ("@ann.", &["ann"], &["@ann"]),
        ("@ann._-.", &["ann", "ann._"], &["@ann._"]),
        ("@ann. and @ann", &["ann."], &["@ann."]),
        ("@a.b-c_d", &["a", "a.b-c_d"], &["@a.b-c_d"]),
        ("write to me@ann.example", &["ann", "ann.example"], &[]),
        ("a.@ann _@ann -@ann", &["ann"], &[]),
        ("@@ann", &["ann"], &["@ann"]),
        ("@zoë 😀@zoë", &["zoë"], &["@zoë", "@zoë"]),
        ("@张伟你好", &["张伟"], &[]),
        ("@张伟 你好", &["张伟"], &["@张伟"]),
        ("@ ann @", &["ann"], &[]),
        ("@_ann", &["ann"], &[]),
        ("@all", &[], &["@all"]),
        ("@ALL.", &[], &["@ALL"]),
    ] {
        assert_eq!(mentioned(content, names), expected, "{content}");
    }
}

#[test]
fn everybody_and_a_user_of_that_name_are_told_apart_later() {
    let all = user("all");
    let found = find("@all", std::slice::from_ref(&all));
    assert_eq!(found, [Found { offset: 0, length: 4, user: Some(all.id), everybody: true }]);
    assert_eq!(Mentions::Found(found).users(), [all.id]);
}

#[test]
fn names_to_look_up_are_few_and_each_is_named_once() {
    assert_eq!(names("@Ann. @ann @ben"), ["ann.", "ann", "ben"]);
    assert!(names(&format!("@{}", "x".repeat(33))).is_empty(), "nobody has so long a name");
    let crowd = (0..1_000).map(|number| format!("@u{number} ")).collect::<Vec<_>>().concat();
    assert_eq!(names(&crowd).len(), PLACES_MAX);
    assert_eq!(names(&format!("@a{}", "_".repeat(3_900))).len(), 32);
    let dots = (0..300).map(|number| format!("@{number}...... ")).collect::<Vec<_>>().concat();
    assert_eq!(names(&dots).len(), NAMES_MAX);
}

#[test]
fn at_most_fifty_places_mention_somebody() {
    assert_eq!(mentioned(&"@ann ".repeat(60), &["ann"]).len(), MENTIONS_MAX);
}

fn range(offset: u32, length: u32) -> MentionRange {
    MentionRange { offset, length, user_id: None }
}

#[test]
fn ranges_are_put_in_the_order_of_the_text() {
    // "😀" is two code units.
    let sorted = check(vec![range(7, 4), range(2, 4)], "😀@ann @ben").unwrap();
    assert_eq!(sorted, [range(2, 4), range(7, 4)]);
    assert_eq!(check(Vec::new(), "").unwrap(), []);
    assert_eq!(check(vec![range(0, 4), range(4, 4)], "@ann@ben").unwrap().len(), 2, "they may touch");
}

#[test]
fn a_range_outside_of_the_text_or_over_another_is_refused() {
    let u32_max = u32::MAX;
    for (content, ranges) in [
        ("@ann", vec![range(0, 5)]),
        ("@ann", vec![range(4, 1)]),
        ("@ann", vec![range(u32_max, u32_max)]),
        ("@ann", vec![range(0, 0)]),
        ("😀x", vec![range(1, 1)]),
        ("😀x", vec![range(0, 1)]),
        ("@ann @ben", vec![range(5, 4), range(0, 6)]),
        ("@ann", vec![range(0, 4), range(0, 4)]),
        ("", vec![range(0, 1)]),
        (&"x".repeat(60), (0..51).map(|at| range(at, 1)).collect()),
    ] {
        let error = check(ranges.clone(), content).unwrap_err();
        assert_eq!(error.errors[0].field, "mentions", "{content} {ranges:?}");
    }
}

proptest! {
    /// Whatever is written, what is found is in order, apart, within the text, and begins with an at sign.
    #[test]
    fn what_is_found_would_be_accepted_as_named(content in "(@|a|b|\\.|-|_|é|😀| |\\PC){0,60}") {
        let users: Vec<_> = names(&content).iter().map(|name| user(name)).collect();
        let found = find(&content, &users);
        let units: Vec<u16> = content.encode_utf16().collect();
        prop_assert!(found.iter().all(|found| units[found.offset as usize] == u16::from(b'@')));
        let ranges: Vec<_> = found.iter().map(|found| range(found.offset, found.length)).collect();
        prop_assert_eq!(check(ranges.clone(), &content).unwrap(), ranges);
    }
}
