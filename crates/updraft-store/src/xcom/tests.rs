use super::Slice;

/// The places Python's `range(length)[start:stop:step]` selects.
fn places(start: Option<i64>, stop: Option<i64>, step: Option<i64>, length: i64) -> Vec<i64> {
    let (first, count, step) = Slice { start, stop, step }.indices(length);
    (0..count).map(|place| first + place * step).collect()
}

#[test]
fn slices_follow_python() {
    assert_eq!(places(None, None, None, 3), [0, 1, 2]);
    assert_eq!(places(Some(1), None, None, 3), [1, 2]);
    assert_eq!(places(Some(-2), None, None, 5), [3, 4]);
    assert_eq!(places(Some(-9), Some(2), None, 5), [0, 1]);
    assert_eq!(places(None, Some(-1), Some(2), 6), [0, 2, 4]);
    assert_eq!(places(None, None, Some(-1), 3), [2, 1, 0]);
    assert_eq!(places(Some(4), Some(0), Some(-2), 6), [4, 2]);
    assert_eq!(places(Some(99), None, Some(-3), 5), [4, 1]);
    assert_eq!(places(Some(2), Some(1), None, 5), [0; 0]);
    assert_eq!(places(None, None, None, 0), [0; 0]);
    assert_eq!(places(None, None, Some(0), 5), [0; 0]);
}
