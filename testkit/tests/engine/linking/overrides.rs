//! Series that both calendars hold, each with occurrences of its own.

use super::*;

#[tokio::test]
async fn overrides_of_both_series_are_kept_in_every_layout() {
    for pair in PAIRS {
        let world = World::new(&pair).await;
        let mut here = series("Standup");
        here.overrides.insert(key(6), fields(json!({"title": "Here"})));
        here.overrides.insert(key(8), fields(json!({"title": "Mine"})));
        let mut there = series("Standup");
        there.overrides.insert(key(7), model::series::cancelled());
        there.overrides.insert(key(8), fields(json!({"title": "Theirs"})));
        world.put(0, "a", here);
        world.put(1, "b", there);
        read(&world).await;
        world.mirror(&BOTH, Rule::HubWins, TargetEdits::Keep).await;
        world.settle().await;
        let (one, other) = (world.only(0), world.only(1));
        assert_eq!(shared(&one), shared(&other));
        assert_eq!(one.overrides[&key(6)]["title"], "Here");
        assert_eq!(one.overrides[&key(7)], model::series::cancelled());
        assert_eq!(one.overrides[&key(8)]["title"], "Mine");
        let mut lost: Vec<_> = world
            .conflicts()
            .await
            .into_iter()
            .map(|conflict| (conflict.path.unwrap().to_string(), conflict.remote))
            .collect();
        lost.sort_by(|a, b| a.0.cmp(&b.0));
        let paths: Vec<&str> = lost.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "overrides.2026-01-07T09:00:00.status",
                "overrides.2026-01-08T09:00:00.title"
            ],
            "what lost, and a deleted occurrence that the other side knew nothing of"
        );
        assert_eq!(world.records().await.len(), 1);
    }
}

#[tokio::test]
async fn a_series_that_starts_elsewhere_is_the_same_by_its_uid_and_its_overrides_move_along() {
    for (rule, hour) in [(Rule::HubWins, 9), (Rule::RemoteWins, 11)] {
        let world = World::new(&PAIRS[1]).await;
        let at = |hour: u8| json!({"kind": "zoned", "wall": format!("2026-01-05T{hour:02}:00:00"), "zone": "Europe/Berlin"});
        let mut here = series("Standup");
        here.overrides.insert(key(6), fields(json!({"title": "Long"})));
        let mut there = series("Standup");
        set(&mut there, "start", at(11));
        set(&mut there, "end", at(12));
        world.put(0, "a", here);
        world.put(1, "b", there);
        read(&world).await;
        world.mirror(&BOTH, rule, TargetEdits::Keep).await;
        world.settle().await;
        let occurrence = model::PartKey::occurrence(format!("2026-01-06T{hour:02}:00:00"));
        for side in 0..2 {
            let content = world.only(side);
            assert_eq!(content.fields["start"], at(hour), "{rule:?}");
            assert_eq!(
                content.overrides[&occurrence]["title"], "Long",
                "{rule:?}, side {side}"
            );
        }
    }
}
