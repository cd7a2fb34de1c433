//! Afterwards: what was acknowledged is held against what the hub has and says.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;

use super::sender::{Mail, seen};
use super::site::Site;

/// What came of all deliveries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effects {
    /// Deliveries that changed something.
    pub(super) applied: u64,
    /// Deliveries that came after a newer one.
    pub(super) outdated: u64,
}

/// Every delivery that was to be sent was acknowledged; each is there once and done, and has left as many effects as it says.
pub(super) async fn check(site: &Site, mail: &Mail) -> Effects {
    let sent = mail.allowed();
    assert_eq!(seen(&mail.tally.acknowledged), sent, "all were acknowledged");
    let mut left: BTreeSet<&str> = mail.parcels[..sent]
        .iter()
        .map(|parcel| parcel.id.as_str())
        .collect();
    let mut effects = Effects::default();
    site.each("/v1/deliveries?", |delivery| {
        let id = delivery["delivery_id"].as_str().unwrap();
        assert!(left.remove(id), "stored twice, or never sent: {delivery}");
        assert_eq!(delivery["state"], "done", "{delivery}");
        let count = |name: &str| delivery["outcome"][name].as_u64().unwrap();
        assert_eq!(count("applied") + count("outdated"), 1, "{delivery}");
        effects.applied += count("applied");
        effects.outdated += count("outdated");
    })
    .await;
    assert!(left.is_empty(), "{} acknowledged and lost: {left:?}", left.len());

    let objects = sent / 2;
    let changes = changes(site).await;
    assert_eq!(changes.len(), objects, "a record for each object");
    let told = |(created, updated): &(u64, u64)| *created == 1 && *updated <= 1;
    assert!(changes.values().all(told), "{changes:?}");
    let told: u64 = changes.values().map(|(created, updated)| created + updated).sum();
    assert_eq!(
        told, effects.applied,
        "as many entries of the feed as deliveries that say so"
    );

    let mut uids = BTreeSet::new();
    site.each("/v1/events?", |event| {
        assert_eq!(event["title"], "second", "{event}");
        assert!(uids.insert(event["uid"].as_str().unwrap().to_owned()), "{event}");
    })
    .await;
    assert_eq!(uids.len(), objects);
    effects
}

/// By event how often the feed says that it was created, and that it was updated.
async fn changes(site: &Site) -> BTreeMap<String, (u64, u64)> {
    let mut all: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut after = 0;
    loop {
        let path = format!("/v1/changes?after={after}&kind=event&limit=200");
        let mut page = site.call(Method::GET, &path, None).await;
        let page: Vec<Value> = std::mem::take(page["data"].as_array_mut().unwrap());
        let Some(last) = page.last() else { return all };
        after = last["seq"].as_i64().unwrap();
        for change in page {
            let entry = all.entry(change["id"].as_str().unwrap().to_owned()).or_default();
            match change["action"].as_str().unwrap() {
                "created" => entry.0 += 1,
                "updated" => entry.1 += 1,
                other => panic!("nobody {other} anything: {change}"),
            }
        }
    }
}
