//! Every scheme against its vendor's published vectors, and against what an attacker would make of them.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test's helper fails the test"
)]

mod attack;
mod hostile;
mod keys;
mod particular;
mod standard_webhooks;
mod tokens;
mod vectors;

use attack::{Source, attack};

#[test]
fn every_scheme_gives_the_right_answer_to_every_case() {
    let (mut cases, mut wrong, mut published) = (0, Vec::new(), 0);
    for vector in vectors::all() {
        let tally = attack(&vector);
        let source = match vector.source {
            Source::Published(page) => {
                published += 1;
                format!("published: {page}")
            }
            Source::OpenSsl => "computed with OpenSSL".to_owned(),
            Source::Token => "compared".to_owned(),
        };
        println!(
            "{:<34} {:>5} cases, {} wrong  ({source})",
            vector.name,
            tally.cases,
            tally.wrong.len()
        );
        cases += tally.cases;
        wrong.extend(tally.wrong);
    }
    println!("{cases} cases, {} wrong", wrong.len());
    assert!(
        wrong.is_empty(),
        "{} of {cases} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        cases > 5_000 && published >= 10,
        "{cases} cases, {published} published vectors"
    );
}
