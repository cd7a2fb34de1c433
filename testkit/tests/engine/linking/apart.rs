//! Taking apart what was linked, and tying by hand what was not.

use super::*;

#[tokio::test]
async fn a_link_that_was_undone_writes_nothing_and_stays_undone() {
    for pair in PAIRS {
        let mut with_override = series("Standup");
        with_override
            .overrides
            .insert(key(7), fields(json!({"title": "Long"})));
        let world = full(&pair, &[event("Lunch"), with_override]).await;
        world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
        world.settle().await;
        let before = world.writes();
        for record in world.records().await {
            let link = link_at(&world, &record.id, 1).await;
            let now = world.engine.unlink(&world.organization, &link.id).await.unwrap();
            assert_ne!(now.record, record.id);
        }
        link_again(&world).await;
        world.settle().await;
        link_again(&world).await;
        world.settle().await;
        assert_eq!(world.records().await.len(), 4);
        assert_eq!(world.writes(), before, "nobody was written");
        assert_eq!((world.contents(0).len(), world.contents(1).len()), (2, 2));
        world.sides[0]
            .provider
            .set(CAL, "s0n0", fields(json!({"title": "Mine alone"})));
        world.settle().await;
        assert_eq!(world.writes(), before);
        assert_eq!(
            world.sides[1].provider.content(CAL, "s1n0").unwrap().fields["title"],
            "Lunch"
        );
    }
}

#[tokio::test]
async fn what_was_not_written_yet_is_not_written_after_the_undo() {
    let world = World::new(&PAIRS[0]).await;
    for (side, field) in ["location", "description"].into_iter().enumerate() {
        let mut content = event("Lunch");
        let value = if side == 0 {
            json!("Roof")
        } else {
            json!({"text": "Bring forks"})
        };
        set(&mut content, field, value);
        world.put(side, "x", content);
    }
    read(&world).await;
    for side in 0..2 {
        world.pause(side, true).await;
    }
    world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
    let record = world.only_record().await;
    assert!(
        record.content.fields.contains_key("location") && record.content.fields.contains_key("description")
    );
    let link = link_at(&world, &record.id, 1).await;
    world.engine.unlink(&world.organization, &link.id).await.unwrap();
    for side in 0..2 {
        world.pause(side, false).await;
    }
    world.settle().await;
    assert_eq!(world.writes(), 0);
    let records = world.records().await;
    assert_eq!(records.len(), 2);
    for (side, field) in ["location", "description"].into_iter().enumerate() {
        let link = &world.sides[side].collection;
        let mut found = 0;
        for record in &records {
            let here = links(&world, &record.id).await;
            if here.iter().any(|one| one.collection == *link) {
                found += 1;
                assert!(record.content.fields.contains_key(field));
                assert_eq!(
                    ["location", "description"]
                        .iter()
                        .filter(|name| record.content.fields.contains_key(**name))
                        .count(),
                    1,
                    "each says what its own calendar says"
                );
            }
        }
        assert_eq!(found, 1);
    }
}

#[tokio::test]
async fn what_was_taken_apart_can_be_tied_again_by_hand() {
    let world = full(&PAIRS[1], &[event("Lunch")]).await;
    let mirror = world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
    world.settle().await;
    let record = world.only_record().await.id;
    let link = link_at(&world, &record, 1).await;
    let apart = world.engine.unlink(&world.organization, &link.id).await.unwrap();
    let tied = world
        .engine
        .tie(&world.organization, &record, &apart.record)
        .await
        .unwrap();
    assert_eq!(tied.id, record);
    world.settle().await;
    world.set(0, "title", json!("Dinner"));
    world.settle().await;
    assert_eq!(world.only(1).fields["title"], "Dinner");
    // What was tied by hand outlives the mirror.
    world
        .engine
        .drop_mirror(&world.organization, &mirror)
        .await
        .unwrap();
    world.work().await;
    world.set(1, "title", json!("Supper"));
    world.settle().await;
    assert_eq!(world.only(0).fields["title"], "Supper");
    let gone = world
        .store
        .record(&world.organization, &apart.record)
        .await
        .unwrap()
        .unwrap();
    assert!(gone.deleted && gone.merged_into == Some(record));
}

#[tokio::test]
async fn what_cannot_be_tied_or_taken_apart_is_refused() {
    let world = full(&PAIRS[0], &[event("Lunch"), event("Dinner")]).await;
    let records = world.records().await;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for record in &records {
        match links(&world, &record.id).await[0].collection == world.sides[0].collection {
            true => here.push(record.id.clone()),
            false => there.push(record.id.clone()),
        }
    }
    let tie = |keep: RecordId, other: RecordId| {
        let world = &world;
        async move { world.engine.tie(&world.organization, &keep, &other).await }
    };
    assert!(matches!(
        tie(here[0].clone(), here[1].clone()).await,
        Err(EditError::Invalid(_))
    ));
    assert!(matches!(
        tie(here[0].clone(), here[0].clone()).await,
        Err(EditError::Invalid(_))
    ));
    let nobody = RecordId::new(9, 9);
    assert!(matches!(
        tie(here[0].clone(), nobody).await,
        Err(EditError::NotFound("record"))
    ));
    let alone = links(&world, &there[0]).await.remove(0);
    let undone = world.engine.unlink(&world.organization, &alone.id).await;
    assert!(matches!(undone, Err(EditError::Invalid(_))));
    let nowhere = world.engine.unlink(&world.organization, &LinkId::new(9, 9)).await;
    assert!(matches!(nowhere, Err(EditError::NotFound("link"))));
    assert_eq!(world.records().await.len(), 4, "nothing was changed");
}

#[tokio::test]
async fn a_deleted_mirror_takes_what_it_linked_apart() {
    for paused in [false, true] {
        let mut events: Vec<Content> = (0..3).map(|number| event(&format!("Event {number}"))).collect();
        let world = full(&PAIRS[1], &events).await;
        set(&mut events[0], "title", json!("Renamed"));
        world.put(1, "s1n0", events[0].clone());
        read(&world).await;
        for side in 0..2 {
            world.pause(side, paused).await;
        }
        let mirror = world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
        if !paused {
            world.settle().await;
        }
        assert_eq!(world.records().await.len(), 3);
        let before = world.writes();
        world
            .engine
            .drop_mirror(&world.organization, &mirror)
            .await
            .unwrap();
        world.work().await;
        for side in 0..2 {
            world.pause(side, false).await;
        }
        assert_eq!(world.records().await.len(), 6);
        let there = world.sides[1].provider.contents(CAL);
        world.settle().await;
        assert_eq!(
            world.sides[1].provider.contents(CAL),
            there,
            "the copies stay as they are"
        );
        world.sides[0]
            .provider
            .set(CAL, "s0n1", fields(json!({"title": "Mine alone"})));
        let written = world.sides[1].provider.writes();
        world.settle().await;
        assert_eq!(world.sides[1].provider.writes(), written);
        assert!(world.writes() >= before);
    }
}
