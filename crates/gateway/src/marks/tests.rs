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
    assert!(!mark.is_settled_before(u64::MAX), "nor may a rotation move it");
    mark.advance("e", &watermark("7"));
    assert_eq!(id(&link), None);
    mark.begin("e", Watermark::default(), 3);
    assert_eq!(id(&link).as_deref(), Some("e.5.2.0"));
}

#[test]
fn a_rotation_counts_when_the_connection_followed_everything_before_it_began() {
    let link = settled(3);
    let mark = link.mark.as_ref().unwrap();
    assert!(!mark.is_settled_before(3), "it may have begun before the connection was live");
    assert!(mark.is_settled_before(4));
    mark.unsettled.fetch_add(1, Ordering::SeqCst);
    assert!(!mark.is_settled_before(4), "something is on its way to it");
}

#[test]
fn another_epochs_watermark_is_not_taken() {
    let link = settled(3);
    let mark = link.mark.as_ref().unwrap();
    mark.advance("other", &watermark("9"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.0"));
    mark.advance("e", &watermark("9-2"));
    assert_eq!(id(&link).as_deref(), Some("e.5.2.9-2"));
}
