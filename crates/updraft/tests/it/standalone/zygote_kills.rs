//! `kill -9` of the Python processes below Updraft, which itself lives on.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use updraft_testkit::{RestClient, SECOND, Standalone, children_of, wait_until};

/// How often the zygote is killed while one run goes on.
const KILLS: usize = 3;

#[test]
fn a_killed_zygote_is_replaced_and_no_run_notices() {
    let mut updraft = super::installation(&[("steps.py", include_str!("../../dags/steps.py"))]);
    let client = updraft.start();
    client.wait_for_dag("steps", 60 * SECOND);
    let run_id = client.trigger("steps");
    for kills in 1..=KILLS {
        let before = done(&client, &run_id);
        let zygote = zygote_of(&updraft);
        kill(Pid::from_raw(zygote), Signal::SIGKILL).unwrap();
        wait_until("another zygote is there", 60 * SECOND, || {
            match zygote_of(&updraft) {
                other if other == zygote => Err(other),
                _ => Ok(()),
            }
        });
        wait_until("the run went on", 60 * SECOND, || {
            let done = done(&client, &run_id);
            if done > before {
                Ok(())
            } else {
                Err((kills, client.states("steps", &run_id)))
            }
        });
    }
    assert_eq!(
        client.wait_for_run("steps", &run_id, 60 * SECOND),
        "success"
    );
}

fn done(client: &RestClient, run_id: &str) -> usize {
    let states = client.states("steps", run_id);
    states
        .iter()
        .filter(|state| state.contains("success"))
        .count()
}

/// The only process that Updraft starts itself; all others are forks of it.
#[track_caller]
fn zygote_of(updraft: &Standalone) -> i32 {
    wait_until("there is one zygote", 60 * SECOND, || {
        match children_of(updraft.pid()).as_slice() {
            [zygote] => Ok(*zygote),
            others => Err(others.to_vec()),
        }
    })
}
