//! Every way that a question can go.

use super::*;

const A: PersonId = PersonId(1);
const B: PersonId = PersonId(2);
const C: PersonId = PersonId(3);

fn events(consent: &mut Consent) -> Vec<Event> {
    std::iter::from_fn(|| consent.poll_event()).collect()
}

#[test]
fn nobody_is_recorded_before_the_last_answer() {
    let now = Instant::now();
    let mut consent = Consent::ask(now, Some(A), [A, B, C]);
    assert_eq!(
        events(&mut consent),
        [
            Event::Asked {
                by: Some(A),
                people: vec![B, C]
            },
            Event::Agreed { person: A }
        ]
    );
    assert!(!consent.allows(A), "two have not answered");
    consent.answer(B, true);
    assert!(!consent.allows(A) && !consent.allows(B));
    consent.answer(C, false);
    assert_eq!(consent.state(), State::Running);
    assert_eq!([A, B, C].map(|person| consent.allows(person)), [true, true, false]);
    let withdrawn = false;
    assert_eq!(
        events(&mut consent),
        [
            Event::Agreed { person: B },
            Event::Declined { person: C, withdrawn },
            Event::Began
        ]
    );
}

#[test]
fn a_newcomer_is_left_out_until_there_is_a_yes_and_the_others_go_on() {
    let now = Instant::now();
    let mut consent = Consent::ask(now, Some(A), [A]);
    assert_eq!(consent.state(), State::Running);
    consent.join(now, B);
    consent.join(now, B);
    assert_eq!([A, B].map(|person| consent.allows(person)), [true, false]);
    consent.answer(B, true);
    assert!(consent.allows(B));
    consent.leave(B);
    assert!(!consent.allows(B));
    consent.join(now, B);
    assert!(!consent.allows(B), "a yes is good for one stay");
    let told = events(&mut consent);
    let asked = told
        .iter()
        .filter(|event| matches!(event, Event::Asked { by: None, people } if people[..] == [B]));
    assert_eq!(asked.count(), 2);
}

#[test]
fn the_last_who_has_not_answered_leaves() {
    let mut consent = Consent::ask(Instant::now(), None, [A, B]);
    consent.answer(A, true);
    consent.leave(B);
    assert_eq!((consent.state(), consent.allows(A)), (State::Running, true));
}

#[test]
fn a_yes_can_be_taken_back_and_given_again() {
    let mut consent = Consent::ask(Instant::now(), Some(A), [A, B]);
    consent.answer(B, true);
    events(&mut consent);
    consent.answer(B, false);
    assert!(!consent.allows(B) && consent.allows(A));
    let withdrawn = true;
    assert_eq!(events(&mut consent), [Event::Declined { person: B, withdrawn }]);
    consent.answer(B, true);
    assert!(consent.allows(B));
}

#[test]
fn silence_is_no() {
    let now = Instant::now();
    let mut consent = Consent::ask(now, Some(A), [A, B]);
    assert_eq!(consent.next_timeout(), Some(now + ANSWER_TIME));
    consent.handle_timeout(now + ANSWER_TIME - Duration::from_secs(1));
    assert_eq!(consent.state(), State::Asking);
    consent.handle_timeout(now + ANSWER_TIME);
    assert_eq!(consent.state(), State::Running);
    assert!(consent.allows(A) && !consent.allows(B));
    assert!(events(&mut consent).contains(&Event::Silent { person: B }));
    assert_eq!(consent.next_timeout(), None);
    consent.answer(B, true);
    assert!(consent.allows(B), "late is better than never");
}

#[test]
fn it_ends_when_nobody_agrees_and_says_so_once() {
    type Act = fn(&mut Consent);
    let table: [(&str, Act); 4] = [
        ("all decline", |consent| {
            consent.answer(A, false);
            consent.answer(B, false);
        }),
        ("all leave", |consent| {
            consent.leave(A);
            consent.leave(B);
        }),
        ("the only one who agreed leaves", |consent| {
            consent.answer(A, true);
            consent.answer(B, false);
            consent.leave(A);
        }),
        ("the only one who agreed withdraws", |consent| {
            consent.answer(B, false);
            consent.answer(A, true);
            consent.answer(A, false);
        }),
    ];
    for (name, act) in table {
        let mut consent = Consent::ask(Instant::now(), None, [A, B]);
        act(&mut consent);
        assert_eq!(consent.state(), State::Over, "{name}");
        let cause = EndCause::NobodyAgrees;
        assert_eq!(events(&mut consent).last(), Some(&Event::Ended { cause }), "{name}");
        consent.stop();
        consent.answer(A, true);
        consent.join(Instant::now(), C);
        consent.leave(B);
        consent.handle_timeout(Instant::now() + ANSWER_TIME);
        assert_eq!(events(&mut consent), [], "{name}: over is over");
        assert!(!consent.allows(A));
    }
}

#[test]
fn strangers_have_nothing_to_say_and_a_crowd_has_an_end() {
    let now = Instant::now();
    let mut consent = Consent::ask(now, Some(A), [A]);
    consent.answer(B, true);
    assert!(!consent.allows(B));
    for n in 10..20_010 {
        consent.join(now, PersonId(n));
        consent.answer(PersonId(n), true);
        consent.leave(PersonId(n));
    }
    assert_eq!(events(&mut consent).len(), 4 + 3 * (MAX_PEOPLE - 1) - 1);
}

#[test]
fn who_cannot_decide_has_declined() {
    let mut consent = Consent::ask(Instant::now(), Some(A), [A, B]);
    for n in 0..10_000 {
        consent.answer(B, n % 2 == 0);
    }
    assert!(!consent.allows(B));
    consent.answer(B, true);
    assert!(!consent.allows(B));
    assert!(events(&mut consent).len() < 30);
}

/// Whatever happens in whatever order, nobody is recorded who did not say yes last.
#[test]
fn no_order_of_events_records_who_did_not_agree() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..300 {
        let mut now = Instant::now();
        let mut consent = Consent::ask(now, None, [A, B]);
        let mut yes = BTreeMap::from([(A, false), (B, false)]);
        for _ in 0..40 {
            let person = [A, B, C][usize::try_from(random(3)).unwrap()];
            match random(6) {
                0 => {
                    consent.join(now, person);
                    yes.entry(person).or_insert(false);
                }
                1 => {
                    consent.leave(person);
                    yes.remove(&person);
                }
                2 | 3 => {
                    let agrees = random(2) == 0;
                    consent.answer(person, agrees);
                    if let Some(yes) = yes.get_mut(&person) {
                        *yes = agrees;
                    }
                }
                4 => {
                    now += Duration::from_secs(random(40));
                    consent.handle_timeout(now);
                }
                _ if random(20) == 0 => consent.stop(),
                _ => {}
            }
            for person in [A, B, C] {
                assert!(!consent.allows(person) || yes.get(&person) == Some(&true));
            }
        }
    }
}
