//! People come, go, mute, pause and look at others in any order. Whoever stays sees whole streams.

use std::time::Duration;

use althing_media_core::config::LayerTarget;
use althing_testkit::Rng;
use althing_testkit::network::LinkConfig;
use althing_testkit::peer::preset::{camera, screen};
use althing_testkit::simulation::{Member, Publication, Simulation, Watch};

use crate::stage::{assert_seamless_but_thinned, certificate, come_to_rest, home, lossy, ms, small_pattern};

/// A meeting and what its members have done so far.
struct Meeting {
    simulation: Simulation,
    rng: Rng,
    network: LinkConfig,
    members: Vec<Member>,
    published: Vec<Publication>,
    watches: Vec<Watched>,
    muted: Vec<Publication>,
    next_ssrc: u32,
}

/// A stream, and whether it is meant to show something.
struct Watched {
    watch: Watch,
    source: Option<Publication>,
    paused: bool,
}

impl Meeting {
    fn new(seed: u64, network: LinkConfig) -> Self {
        let simulation = Simulation::new(seed, certificate());
        Self {
            simulation,
            rng: Rng::new(seed),
            network,
            members: Vec::new(),
            published: Vec::new(),
            watches: Vec::new(),
            muted: Vec::new(),
            next_ssrc: 1000,
        }
    }

    fn any<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.rng.index(of.len())])
    }

    /// One thing happens.
    fn step(&mut self) {
        let now = self.simulation.now();
        let (members, published) = (self.members.clone(), self.published.clone());
        match self.rng.below(14) {
            0 | 1 if members.len() < 8 => {
                let member = self.simulation.join_plain(self.network, None);
                self.members.push(member);
            }
            2 | 3 if published.len() < 8 => {
                if let Some(member) = self.any(&members) {
                    self.next_ssrc += 20;
                    let encodings = 1 + u8::try_from(self.rng.below(3)).unwrap();
                    // The mid tells two cameras of one peer apart.
                    let mid = self.next_ssrc.to_string();
                    let config = camera(Some(&mid), self.next_ssrc, encodings, small_pattern());
                    self.published.push(self.simulation.publish(member, config));
                }
            }
            4..=6 if self.watches.len() < 16 => {
                if let (Some(member), Some(publication)) = (self.any(&members), self.any(&published)) {
                    self.next_ssrc += 20;
                    let config = screen(Some("0"), self.next_ssrc);
                    let watch = self.simulation.watch(member, publication.track, config);
                    self.watches.push(Watched {
                        watch,
                        source: Some(publication),
                        paused: false,
                    });
                }
            }
            7 => self.leave(now),
            8 => {
                if let Some(publication) = self.any(&published) {
                    let muted = !self.muted.contains(&publication);
                    self.muted.retain(|known| *known != publication);
                    self.muted.extend(muted.then_some(publication));
                    self.simulation.router.mute_track(now, publication.track, muted);
                }
            }
            _ => self.change_a_watch(now, &published),
        }
    }

    fn leave(&mut self, now: std::time::Instant) {
        let members = self.members.clone();
        let Some(member) = self.any(&members).filter(|_| members.len() > 3) else {
            return;
        };
        self.simulation.router.remove_endpoint(now, member.endpoint);
        self.members.retain(|known| *known != member);
        self.published.retain(|publication| publication.member != member);
        self.watches.retain(|watched| watched.watch.member != member);
        for watched in &mut self.watches {
            watched.source = watched.source.filter(|publication| publication.member != member);
        }
    }

    fn change_a_watch(&mut self, now: std::time::Instant, published: &[Publication]) {
        if self.watches.is_empty() {
            return;
        }
        let index = self.rng.index(self.watches.len());
        let source = self.any(published).filter(|_| self.rng.below(5) > 0);
        let layers = LayerTarget {
            spatial: u8::try_from(self.rng.below(4)).unwrap(),
            temporal: [0, 1, u8::MAX][self.rng.index(3)],
        };
        let watched = &mut self.watches[index];
        let subscription = watched.watch.subscription;
        match self.rng.below(4) {
            0 => {
                watched.paused = !watched.paused;
                self.simulation.router.pause(now, subscription, watched.paused);
            }
            1 => self.simulation.router.set_layers(now, subscription, layers),
            2 => {
                watched.source = source;
                self.simulation
                    .router
                    .set_source(now, subscription, source.map(|publication| publication.track));
            }
            _ if self.watches.len() > 8 => {
                self.simulation.router.unsubscribe(now, subscription);
                self.watches.remove(index);
            }
            _ => {}
        }
    }

    fn pictures(&self, watch: Watch) -> usize {
        self.simulation.receiver(watch).viewer().shown().len()
    }

    /// Everybody who should see something does, and nobody else; all streams are whole.
    ///
    /// Where packets are lost, what a publisher had sent just before it left cannot be asked for again: then gaps may
    /// stay.
    fn check(mut self, seed: u64, whole: bool) {
        self.simulation.run_for(ms(1500));
        let before: Vec<_> = self
            .watches
            .iter()
            .map(|watched| self.pictures(watched.watch))
            .collect();
        self.simulation.run_for(ms(1000));
        for (watched, before) in self.watches.iter().zip(before) {
            let pictures = self.pictures(watched.watch) - before;
            let source = watched
                .source
                .filter(|source| !watched.paused && !self.muted.contains(source));
            match source {
                Some(_) => assert!(
                    pictures >= if whole { 5 } else { 3 },
                    "seed {seed}: {pictures} pictures in a second"
                ),
                None => assert_eq!(pictures, 0, "seed {seed}: pictures out of nothing"),
            }
        }
        let published = self.published.clone();
        come_to_rest(&mut self.simulation, &published);
        for watched in self.watches.iter().filter(|_| !whole) {
            let stats = self.simulation.receiver(watched.watch).stats();
            assert_eq!((stats.corrupt, stats.leaps), (0, 0), "seed {seed}");
        }
        for watched in self.watches.iter().filter(|_| whole) {
            // What waits for its turn when its track ends is not sent any more.
            assert_seamless_but_thinned(&self.simulation, watched.watch, Duration::from_secs(1_000_000), seed);
        }
        let stats = self.simulation.router.stats();
        assert_eq!(stats.endpoints, self.members.len(), "seed {seed}");
        assert_eq!(stats.tracks, self.published.len(), "seed {seed}");
        assert_eq!(stats.subscriptions, self.watches.len(), "seed {seed}");
    }
}

#[test]
fn on_good_networks() {
    for seed in 0..100 {
        let mut meeting = Meeting::new(seed, home());
        for _ in 0..60 {
            meeting.step();
            let pause = meeting.rng.duration(ms(120));
            meeting.simulation.run_for(pause);
        }
        meeting.check(seed, true);
    }
}

#[test]
fn on_bad_networks() {
    for seed in 1000..1040 {
        let mut meeting = Meeting::new(seed, lossy());
        for _ in 0..60 {
            meeting.step();
            let pause = meeting.rng.duration(ms(120));
            meeting.simulation.run_for(pause);
        }
        meeting.check(seed, false);
    }
}
