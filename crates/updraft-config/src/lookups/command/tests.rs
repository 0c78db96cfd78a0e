use super::{run, split_words};

fn words(line: &str) -> Vec<String> {
    split_words(line).unwrap()
}

#[test]
fn words_are_split_as_a_shell_splits_them() {
    assert_eq!(words("cat  /etc/key"), ["cat", "/etc/key"]);
    assert_eq!(
        words("bash -c 'echo \"$X\" | head'"),
        ["bash", "-c", "echo \"$X\" | head"]
    );
    assert_eq!(words(r#"a "b \"c\" \d" e\ f"#), ["a", r#"b "c" \d"#, "e f"]);
    assert_eq!(words("a''b '' c"), ["ab", "", "c"]);
    assert_eq!(words(" \n "), Vec::<String>::new());
    assert!(split_words("a 'b").is_err());
    assert!(split_words("a \\").is_err());
}

#[test]
fn the_output_comes_untrimmed_and_without_a_shell() {
    assert_eq!(run("echo $HOME '|' cat"), Ok("$HOME | cat\n".to_owned()));
}

#[test]
fn a_failure_says_why_and_shows_no_output() {
    let failure = run("sh -c 'echo hunter2; echo no such key >&2; exit 3'").unwrap_err();
    assert!(
        failure.contains("no such key") && failure.contains('3'),
        "{failure}"
    );
    assert!(!failure.contains("hunter2"), "{failure}");
    assert!(
        run("/no/such/program")
            .unwrap_err()
            .contains("/no/such/program")
    );
    assert_eq!(run(""), Err("the command is empty".to_owned()));
}
