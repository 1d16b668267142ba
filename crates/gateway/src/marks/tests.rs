//! Which rotations may move a mark. What they are compared with here are connections alone; the hub's part is tested
//! over real nodes.

use std::sync::Arc;

use store::Watermark;

use super::*;
use crate::testing;

fn settled(since: u64) -> Arc<Link> {
    let link = Arc::new(Arc::into_inner(testing::link()).unwrap().marked());
    link.set_feed_cursor(5);
    link.set_announced(2);
    link.mark.as_ref().unwrap().begin("e", Watermark::default(), since);
    link
}

fn watermark(text: &str) -> Arc<Watermark> {
    Arc::new(text.parse().unwrap())
}

fn id(link: &Link) -> Option<String> {
    link.mark.as_ref().unwrap().stamp(link).map(|stamp| stamp.to_string())
}

#[test]
fn there_is_no_id_before_the_connection_is_live() {
    let link = Arc::into_inner(testing::link()).unwrap().marked();
    let mark = link.mark.as_ref().unwrap();
    link.set_feed_cursor(5);
    link.set_announced(2);
    assert_eq!(id(&link), None);
    mark.advance(u64::MAX, "e", &watermark("7"));
    assert_eq!(id(&link), None, "nor may a rotation move it");
    mark.begin("e", Watermark::default(), 3);
    assert_eq!(id(&link).as_deref(), Some("e.5.2.0"));
}

#[test]
fn a_rotation_counts_when_the_connection_followed_everything_before_it_began() {
    let link = settled(3);
    let mark = link.mark.as_ref().unwrap();
    mark.advance(3, "e", &watermark("7"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.0"), "it may have begun before the connection was live");
    mark.advance(4, "e", &watermark("7"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.7"));
    mark.begin_change();
    mark.advance(5, "e", &watermark("8"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.7"), "something is on its way to it");
    mark.end_change(6);
    mark.advance(6, "e", &watermark("9"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.7"), "it ended while this rotation was under way");
    mark.advance(7, "e", &watermark("10"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.10"));
}

#[test]
fn another_epochs_watermark_is_not_taken() {
    let link = settled(3);
    let mark = link.mark.as_ref().unwrap();
    mark.advance(4, "other", &watermark("9"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.0"));
    mark.advance(4, "e", &watermark("9-2"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.9-2"));
}
