use super::*;
use crate::scenario::instant;

fn key(name: &str) -> AssetKey {
    AssetKey {
        name: name.to_owned(),
        uri: name.to_owned(),
    }
}

fn judged(is_satisfied: bool, date: Result<Option<&str>, &str>) -> Judged {
    Judged {
        is_satisfied,
        unreachable: None,
        partition_date: date.map(|date| date.map(instant)).map_err(str::to_owned),
    }
}

fn plan(judged: &[(&str, Judged)], carried: Option<&str>) -> PartitionRunPlan {
    let condition = AssetCondition::All(vec![
        AssetCondition::Asset(key("a")),
        AssetCondition::Any(vec![
            AssetCondition::Asset(key("b")),
            AssetCondition::Asset(key("c")),
        ]),
    ]);
    let judged = judged
        .iter()
        .map(|(name, judged)| (key(name), judged.clone()))
        .collect();
    plan_partition_run(&PartitionRunView {
        condition: &condition,
        resolved: &ResolvedAssets::default(),
        judged: &judged,
        carried_date: carried.map(instant),
    })
}

const MONDAY: &str = "2026-01-05T00:00:00Z";
const TUESDAY: &str = "2026-01-06T00:00:00Z";

#[test]
fn a_partition_waits_until_its_condition_is_met_by_satisfied_assets() {
    let yes = || judged(true, Ok(None));
    let no = || judged(false, Ok(None));
    assert_eq!(plan(&[], None), PartitionRunPlan::Wait);
    assert_eq!(plan(&[("a", yes())], None), PartitionRunPlan::Wait);
    assert_eq!(
        plan(&[("a", yes()), ("b", no())], None),
        PartitionRunPlan::Wait
    );
    let created = PartitionRunPlan::Create {
        partition_date: None,
        undated: None,
    };
    assert_eq!(
        plan(&[("a", yes()), ("b", no()), ("c", yes())], None),
        created
    );
}

#[test]
fn the_date_is_the_one_on_which_all_mappers_agree() {
    let of = |date| judged(true, date);
    let date = |judged: &[(&str, Judged)], carried| match plan(judged, carried) {
        PartitionRunPlan::Create {
            partition_date,
            undated,
        } => (partition_date, undated.is_some()),
        PartitionRunPlan::Wait => panic!("it waits"),
    };
    let monday = Some(instant(MONDAY));
    let agreed = [("a", of(Ok(Some(MONDAY)))), ("b", of(Ok(Some(MONDAY))))];
    assert_eq!(date(&agreed, Some(TUESDAY)), (monday, false));
    let one_knows = [("a", of(Ok(None))), ("b", of(Ok(Some(MONDAY))))];
    assert_eq!(date(&one_knows, Some(TUESDAY)), (monday, false));
    let nobody_knows = [("a", of(Ok(None))), ("b", of(Ok(None)))];
    assert_eq!(date(&nobody_knows, Some(MONDAY)), (monday, false));
    assert_eq!(date(&nobody_knows, None), (None, false));
    let quarrel = [("a", of(Ok(Some(MONDAY)))), ("b", of(Ok(Some(TUESDAY))))];
    assert_eq!(date(&quarrel, Some(MONDAY)), (None, true));
    let unreadable = [("a", of(Err("bad key"))), ("b", of(Ok(Some(MONDAY))))];
    assert_eq!(date(&unreadable, Some(MONDAY)), (None, true));
}
