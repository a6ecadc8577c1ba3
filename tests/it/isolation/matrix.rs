//! Every key with every name at every door, compared with one small table.

use super::{Door, Kept, Key, Named, Pair, Rules, Who, outcome};
use crate::support::http::Place;

/// What comes of one combination.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Token(Who),
    Refused(u16, &'static str),
}

use Cell::{Refused, Token};

const MISSING: Cell = Refused(401, "local-key-missing");
const WRONG: Cell = Refused(401, "wrong-local-key");
const ANOTHER: Cell = Refused(401, "key-of-another-identity");
const SECRET: Cell = Refused(401, "entra-secret-presented");
const UNNAMED: Cell = Refused(400, "identity-not-named");
const UNKNOWN: Cell = Refused(400, "unknown-identity");
const STRANGER: Cell = Refused(403, "caller-not-allowed");
const A: Cell = Token(Who::A);
const B: Cell = Token(Who::B);

/// Columns: the request names A, B, nobody, somebody unknown. Both identities have a key and are closed.
const AT_DOORS_WITH_A_KEY: [(Key, [Cell; 4]); 5] = [
    (Key::None, [MISSING, MISSING, UNNAMED, UNKNOWN]),
    (Key::Of(Who::A), [A, ANOTHER, A, UNKNOWN]),
    (Key::Of(Who::B), [ANOTHER, B, B, UNKNOWN]),
    (Key::Wrong, [WRONG, WRONG, WRONG, UNKNOWN]),
    (Key::EntraShaped, [SECRET, SECRET, SECRET, SECRET]),
];
/// IMDS looks at no key, whatever header holds one.
const AT_IMDS: [Cell; 4] = [STRANGER, STRANGER, UNNAMED, UNKNOWN];

/// With `any_local_caller = true` for A alone, only these cells change.
const OPEN_WITHOUT_KEY: [Cell; 4] = [A, MISSING, UNNAMED, UNKNOWN];
const OPEN_AT_IMDS: [Cell; 4] = [A, STRANGER, UNNAMED, UNKNOWN];

fn expected(door: Door, named: Named, key: Key, a_is_open: bool) -> Cell {
    let column = match named {
        Named::Client(Who::A) | Named::Object(Who::A) | Named::Resource(Who::A) => 0,
        Named::Client(Who::B) | Named::Object(Who::B) | Named::Resource(Who::B) => 1,
        Named::Nothing => 2,
        Named::Unknown => 3,
    };
    match (door, key) {
        (Door::Imds, _) if a_is_open => OPEN_AT_IMDS[column],
        (Door::Imds, _) => AT_IMDS[column],
        // Without the header, this door looks at nothing else (contract B3).
        (_, Key::None) if door.is_app_service() => Refused(401, "key-header-missing"),
        // OAuth demands a client id: in HTTP Basic an empty one names nobody known, in the form it is missing.
        (Door::OauthV2Basic, key) if named == Named::Nothing && key != Key::None => {
            if key == Key::EntraShaped {
                SECRET
            } else {
                UNKNOWN
            }
        }
        _ if door.is_oauth() && named == Named::Nothing => Refused(400, "parameter-missing"),
        (_, Key::None) if a_is_open => OPEN_WITHOUT_KEY[column],
        _ => AT_DOORS_WITH_A_KEY.iter().find(|row| row.0 == key).unwrap().1[column],
    }
}

async fn compare(pair: &Pair, place: &Place, a_is_open: bool) -> usize {
    let mut tokens = 0;
    for door in Door::ALL {
        for named in Named::ALL.into_iter().filter(|named| named.fits(door)) {
            for key in Key::ALL {
                let answer = pair.call(place.clone(), door, named, key).send().await;
                let wanted = match expected(door, named, key, a_is_open) {
                    Token(who) => Ok(who),
                    Refused(status, code) => Err((status, code.to_owned())),
                };
                tokens += usize::from(wanted.is_ok());
                assert_eq!(outcome(&pair.world, &answer), wanted, "{door:?}, {named:?}, {key:?}, open: {a_is_open}");
            }
        }
    }
    tokens
}

#[tokio::test]
async fn no_token_crosses_however_the_keys_are_kept() {
    for kept in [Kept::File, Kept::Variable, Kept::Hash] {
        let pair = Pair::of(Rules { kept, ..Rules::CLOSED }).await;
        // Per identity: four names at two App Service doors, at Cloud Shell's and at the plain one's two headers; one at
        // three OAuth doors.
        assert_eq!(compare(&pair, &pair.world.http().into(), false).await, 2 * (5 * 4 + 3), "{kept:?}");
        assert_eq!(pair.world.exchanges(), 2, "one for each identity, none for what was refused");
    }
}

#[tokio::test]
async fn on_the_socket_no_token_crosses_either() {
    let pair = Pair::of(Rules::CLOSED).await;
    compare(&pair, &pair.world.unix(), false).await;
}

#[tokio::test]
async fn an_open_identity_opens_nothing_of_its_neighbour() {
    let pair = Pair::of(Rules { open: [true, false], ..Rules::CLOSED }).await;
    compare(&pair, &pair.world.http().into(), true).await;
    assert_eq!(pair.world.exchanges(), 2);
}

#[tokio::test]
async fn refusals_on_the_oauth_doors_carry_the_numbers_of_entra() {
    let pair = Pair::of(Rules::CLOSED).await;
    for (named, key, number) in [
        (Named::Unknown, Key::Of(Who::A), 700_016),
        (Named::Client(Who::A), Key::Wrong, 7_000_215),
        (Named::Client(Who::A), Key::Of(Who::B), 7_000_215),
        (Named::Client(Who::A), Key::EntraShaped, 7_000_215),
        (Named::Client(Who::A), Key::None, 7_000_218),
    ] {
        for door in [Door::OauthV2, Door::OauthV1, Door::OauthV2Basic] {
            let answer = pair.call(pair.world.http().into(), door, named, key).send().await;
            assert_eq!(answer.json()["error_codes"], serde_json::json!([number]), "{door:?} {named:?} {key:?}");
        }
    }
}
