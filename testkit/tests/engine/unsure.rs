//! Providers of which little is certain: writes that no version guards, creates that nobody can ask about.

use async_trait::async_trait;
use connector_memory::{Fault, MemoryConnector, Options};
use connector_sdk::{
    Actions, Applied, Auth, Capability, Connector, ConnectorInfo, Context, Error, ErrorKind, Pull, Push,
    RemoteCollection, Webhooks, Write,
};
use model::{Content, Kind};
use serde_json::json;
use sync::state::Origin;

use crate::world::{World, event};

const UNGUARDED: Options = Options {
    versions: false,
    ..Options::WHOLE
};

/// A provider that cannot be asked what became of a create.
pub(crate) struct Blind(pub(crate) MemoryConnector);

impl Connector for Blind {
    fn info(&self) -> &ConnectorInfo {
        self.0.info()
    }

    fn capability(&self, kind: Kind) -> Capability {
        Capability {
            client_ids: false,
            ..self.0.capability(kind)
        }
    }

    fn auth(&self) -> &dyn Auth {
        self.0.auth()
    }

    fn pull(&self) -> Option<&dyn Pull> {
        self.0.pull()
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        self.0.webhooks()
    }

    fn actions(&self) -> Option<&dyn Actions> {
        None
    }

    fn project(&self, collection: &RemoteCollection, content: &Content) -> Content {
        self.0.project(collection, content)
    }
}

#[async_trait]
impl Push for Blind {
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        self.0.apply(ctx, collection, writes).await
    }

    async fn probe(&self, _: &Context, _: &RemoteCollection, _: &Write) -> Result<Option<Applied>, Error> {
        Err(Error::new(ErrorKind::Unsupported, "probe", "nothing tells"))
    }
}

#[tokio::test]
async fn a_write_that_no_version_guards_goes_over_nothing_that_was_edited_since_the_last_pull() {
    let world = World::mirrored(&[Options::WHOLE, UNGUARDED]).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.set(1, "title", json!("Brunch"));
    world.set(1, "location", json!("Roof"));
    let record = world.only_record().await;
    world.patch(&record.id, json!({"title": "Dinner"})).await;
    world.work().await;
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    let said = [&conflicts[0].hub, &conflicts[0].remote];
    assert!(said.contains(&&Some(json!("Brunch"))), "{conflicts:#?}");
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["location"], "Roof");
    }
}

#[tokio::test]
async fn a_delete_that_no_version_guards_leaves_what_was_edited_since_the_last_pull() {
    let world = World::mirrored(&[Options::WHOLE, UNGUARDED]).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.set(1, "location", json!("Roof"));
    let record = world.only_record().await;
    let origin = Origin::Api("test".to_owned());
    let deleted = world.engine.delete(&world.organization, &record.id, None, origin);
    deleted.await.unwrap();
    world.work().await;
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["location"], "Roof");
    }
}

#[tokio::test]
async fn a_write_that_no_version_guards_costs_one_look_and_no_second_write() {
    let world = World::mirrored(&[Options::WHOLE, UNGUARDED]).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let (writes, reads) = (world.writes(), world.sides[1].provider.reads());
    let record = world.only_record().await;
    world.patch(&record.id, json!({"title": "Dinner"})).await;
    world.work().await;
    assert_eq!(world.writes() - writes, 2);
    assert_eq!(world.sides[1].provider.reads() - reads, 1);
}

/// A mirrored event at a provider that made its copy, whose answer was lost, and that cannot be asked.
async fn in_doubt() -> World {
    let world = World::mirrored(&[Options::WHOLE, Options::WHOLE]).await;
    world.blind(1);
    world.sides[1].provider.fail(Fault::lost_answer());
    world.put(0, "a", event("Team lunch on Friday"));
    world.sync(0).await.unwrap();
    world.work().await;
    assert_eq!(world.contents(1).len(), 1);
    world
}

#[tokio::test]
async fn a_create_that_nobody_can_ask_about_is_recognised_by_its_uid_though_it_was_renamed() {
    let world = in_doubt().await;
    world.set(1, "title", json!("Team dinner"));
    world.settle().await;
    assert_eq!(world.records().await.len(), 1);
    for side in 0..2 {
        assert_eq!(world.only(side).fields["title"], "Team dinner");
    }
}

#[tokio::test]
async fn a_create_that_nobody_can_ask_about_is_recognised_though_the_provider_says_it_its_own_way() {
    let world = in_doubt().await;
    world.edit(1, |content| {
        let fields = &mut content.fields;
        fields.insert("uid".to_owned(), json!("7@provider"));
        fields.insert("title".to_owned(), json!("TEAM lunch"));
        for name in ["start", "end"] {
            fields.get_mut(name).unwrap()["zone"] = json!("Europe/Oslo");
        }
    });
    world.settle().await;
    assert_eq!(world.records().await.len(), 1);
    let zone = |side| world.only(side).fields["start"]["zone"].clone();
    assert_eq!((zone(0), zone(1)), (json!("Europe/Berlin"), json!("Europe/Oslo")));
    let title = |side| world.only(side).fields["title"].clone();
    assert_eq!(title(0), title(1));
}

#[tokio::test]
async fn a_stranger_of_another_name_is_not_taken_for_a_create_that_nobody_can_ask_about() {
    let world = in_doubt().await;
    world.edit(1, |content| {
        content.fields.insert("uid".to_owned(), json!("7@provider"));
        content.fields.insert("title".to_owned(), json!("Dentist"));
    });
    world.settle().await;
    assert_eq!(world.records().await.len(), 2);
}
