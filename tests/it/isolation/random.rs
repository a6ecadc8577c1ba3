//! Random requests under random rules, each set of rules put in place by a reload: whatever the combination, a token
//! belongs to the identity whose key was shown, or, where none was looked at, to one that admits this caller without.

use super::{Door, Kept, Key, Named, Pair, Rules, Who, outcome};
use crate::support::http::Place;

/// SplitMix64: small, and the same on every machine, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.number() % of.len() as u64).unwrap()]
    }

    fn rules(&mut self, uid: u32) -> Rules {
        let mut both = |of: [Option<u32>; 3]| [self.one(&of), self.one(&of)];
        let uid = both([None, Some(uid), Some(uid + 1)]);
        Rules {
            kept: self.one(&[Kept::File, Kept::Variable, Kept::Hash]),
            open: [self.one(&[true, false, false]), self.one(&[true, false, false])],
            uid,
        }
    }
}

/// What must hold of a token that was given.
fn may(who: Who, door: Door, named: Named, key: Key, rules: Rules, socket_uid: Option<u32>) -> bool {
    let named_another = match named {
        Named::Client(other) | Named::Object(other) | Named::Resource(other) => other != who,
        Named::Unknown => true,
        Named::Nothing => false,
    };
    // IMDS looks at no key.
    let shown = if door == Door::Imds { Key::None } else { key };
    let admitted = match shown {
        Key::Of(holder) => holder == who,
        Key::Wrong | Key::EntraShaped => false,
        Key::None => {
            let known = socket_uid.is_some() && rules.uid[who as usize] == socket_uid;
            // A door whose clients always show a key wants it, from a known uid too.
            rules.open[who as usize] || known && (door == Door::Imds || door.may_go_without_key())
        }
    };
    admitted && !named_another
}

#[tokio::test]
async fn a_token_is_always_that_of_the_key_or_of_an_identity_that_needs_none() {
    let mut dice = Dice(7);
    let own = rustix::process::geteuid().as_raw();
    let mut pair = Pair::of(Rules::CLOSED).await;
    let mut given = 0;
    for _ in 0..25 {
        let rules = dice.rules(own);
        pair.reload(rules).await;
        for _ in 0..40 {
            let (door, named, key) = (dice.one(&Door::ALL), dice.one(&Named::ALL), dice.one(&Key::ALL));
            let on_socket = dice.one(&[true, false]);
            if !named.fits(door) {
                continue;
            }
            let place: Place = if on_socket { pair.world.unix() } else { pair.world.http().into() };
            let answer = pair.call(place, door, named, key).send().await;
            if let Ok(who) = outcome(&pair.world, &answer) {
                given += 1;
                let fine = may(who, door, named, key, rules, on_socket.then_some(own));
                assert!(fine, "{who:?} for {door:?}, {named:?}, {key:?}, socket: {on_socket}, {rules:?}");
            }
        }
    }
    assert!(given > 100, "only {given} tokens: nothing was tried");
    assert_eq!(pair.world.exchanges(), 2, "every reload kept both tokens");
}
