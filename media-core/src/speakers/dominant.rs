//! Who leads the conversation: who has the floor keeps it until another one has clearly taken it.
//!
//! A challenger must speak now, louder or more steadily than who leads, and must have done so for most of a second more
//! than the leader: a word of assent, a cough or an echo do not win. Who is silent leads on until then.

use super::voice::Activity;

/// Active blocks of the last second that a challenger needs, and by how many it must be ahead.
const SPOKEN: u8 = 2;
const AHEAD: u8 = 2;

/// The leader among keys of any kind.
#[derive(Debug, Clone)]
pub struct Dominant<K> {
    leader: Option<K>,
}

impl<K: Clone + PartialEq> Dominant<K> {
    /// Nobody leads.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Who leads.
    #[must_use]
    pub fn leader(&self) -> Option<&K> {
        self.leader.as_ref()
    }

    /// Decides anew, a few times a second: `all` are those who are there, with what they have said lately. The new leader,
    /// when it is another one.
    pub fn decide<'a>(&mut self, all: impl Iterator<Item = (&'a K, Activity)>) -> Option<&K>
    where
        K: 'a,
    {
        let (mut leading, mut best) = (None, None::<(&K, Activity)>);
        for (key, activity) in all {
            if self.leader.as_ref() == Some(key) {
                leading = Some(activity);
                continue;
            }
            let rank = |activity: &Activity| (activity.medium, activity.long, activity.immediate);
            let better = best.as_ref().is_none_or(|(_, known)| rank(&activity) > rank(known));
            if better && activity.speaks() && activity.medium >= SPOKEN {
                best = Some((key, activity));
            }
        }
        let wins = |(_, challenger): &(&K, Activity)| {
            leading.is_none_or(|leader: Activity| {
                challenger.immediate > leader.immediate && challenger.medium >= leader.medium + AHEAD
            })
        };
        if let Some((key, _)) = best.filter(wins) {
            self.leader = Some(key.clone());
            return self.leader.as_ref();
        }
        if leading.is_none() {
            self.leader = None;
        }
        None
    }
}

impl<K> Default for Dominant<K> {
    fn default() -> Self {
        Self { leader: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(immediate: u8, medium: u8, long: u8) -> Activity {
        Activity {
            immediate,
            medium,
            long,
            minus_dbov: if immediate > 0 { 25 } else { 127 },
        }
    }

    const SILENT: Activity = Activity {
        immediate: 0,
        medium: 0,
        long: 0,
        minus_dbov: 127,
    };

    fn decide(dominant: &mut Dominant<char>, all: &[(char, Activity)]) -> Option<char> {
        dominant.decide(all.iter().map(|(key, activity)| (key, *activity)));
        dominant.leader().copied()
    }

    #[test]
    fn the_floor_is_taken_not_shared() {
        let mut dominant = Dominant::new();
        let talks = activity(80, 5, 12);
        assert_eq!(decide(&mut dominant, &[('a', SILENT), ('b', SILENT)]), None);
        assert_eq!(
            decide(&mut dominant, &[('a', activity(90, 1, 1)), ('b', SILENT)]),
            None,
            "a knock"
        );
        assert_eq!(
            decide(&mut dominant, &[('a', activity(80, 2, 2)), ('b', SILENT)]),
            Some('a')
        );
        let assent = activity(90, 2, 2);
        assert_eq!(
            decide(&mut dominant, &[('a', talks), ('b', assent)]),
            Some('a'),
            "a word of assent"
        );
        assert_eq!(
            decide(&mut dominant, &[('a', talks), ('b', activity(90, 5, 5))]),
            Some('a'),
            "both at once"
        );
        assert_eq!(
            decide(&mut dominant, &[('a', SILENT), ('b', SILENT)]),
            Some('a'),
            "a pause"
        );
        let pauses = activity(0, 3, 10);
        assert_eq!(
            decide(&mut dominant, &[('a', pauses), ('b', activity(80, 2, 2))]),
            Some('a')
        );
        assert_eq!(
            decide(&mut dominant, &[('a', SILENT), ('b', activity(80, 2, 2))]),
            Some('b')
        );
    }

    #[test]
    fn of_several_the_steadiest_wins_and_who_has_gone_leads_no_more() {
        let mut dominant = Dominant::new();
        let all = [
            ('a', activity(100, 2, 2)),
            ('b', activity(60, 4, 9)),
            ('c', activity(0, 5, 15)),
        ];
        assert_eq!(decide(&mut dominant, &all), Some('b'), "c has stopped");
        assert_eq!(decide(&mut dominant, &[('a', SILENT)]), None);
        assert_eq!(decide(&mut dominant, &[('a', activity(100, 2, 2))]), Some('a'));
    }
}
