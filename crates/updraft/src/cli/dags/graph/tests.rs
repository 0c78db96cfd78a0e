//! The graph of a Dag with nested groups.

use updraft_model::serialized::SerializedDag;

use super::{dot_of, quoted};

const ETL: &str = include_str!("../../../../testdata/etl_dag.json");
const ETL_DOT: &str = include_str!("../../../../testdata/etl_dag.dot");

#[test]
fn groups_are_boxes_and_join_in_circles() {
    let dag = SerializedDag::parse(serde_json::from_str(ETL).unwrap()).unwrap();
    for (found, wanted) in dot_of(&dag).lines().zip(ETL_DOT.lines()) {
        assert_eq!(found, wanted);
    }
    assert_eq!(dot_of(&dag).lines().count(), ETL_DOT.lines().count());
}

#[test]
fn only_what_is_no_word_is_quoted() {
    let cases = [
        ("a_1", "a_1"),
        ("12", "12"),
        ("a.b", "\"a.b\""),
        ("Node", "\"Node\""),
        ("", "\"\""),
    ];
    for (plain, wanted) in cases {
        assert_eq!(quoted(plain), wanted);
    }
    assert_eq!(quoted("say \"hi\""), "\"say \\\"hi\\\"\"");
}
