//! `unsecret` stands beside an application and hands it Microsoft Entra ID access tokens, so that the application
//! needs no client secret.
//!
//! This library exists so that `main.rs` and the integration tests share one body of code. It is internal: nothing
//! here is a stable API, and the package is not published as a library.
//!
//! What it is not: a proxy for the real metadata service (unknown paths are 404, nothing is forwarded there), a secret
//! store, or a client library for Entra.
//!
//! # Floors
//!
//! A module imports from lower floors only; `tests/it/house.rs` reads the source and holds it to this table.
//!
//! | floor | modules | may import |
//! | ---: | --- | --- |
//! | 7 | [`cli`] | everything below |
//! | 6 | [`app`] | everything below |
//! | 5 | [`listen`] | `front`, `admin`, `policy`, floor 0 |
//! | 4 | [`front`], [`admin`], [`injector`] | everything below |
//! | 3 | [`mint`], [`dialect`], [`guard`], [`passing`], [`metrics`], [`audit`], [`inspect`], [`sink`] | everything below |
//! | 2 | [`broker`], [`assertion`], [`entra`], [`graph`], [`config`], [`https`], [`cluster`] | everything below |
//! | 1 | [`policy`], [`signer`], [`outbound`], [`local_ca`], [`observe`], [`explain`], [`emulator`], [`inject`], [`manifest`] | floor 0; `emulator` also `local_ca` |
//! | 0 | [`ids`], [`authority`], [`fault`], [`secret`], [`clock`], [`problem`], [`facts`], [`claims`], [`patch`] | each other without a circle |

pub mod admin;
pub mod app;
pub mod assertion;
pub mod audit;
pub mod authority;
pub mod broker;
pub mod claims;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod dialect;
pub mod emulator;
pub mod entra;
pub mod explain;
pub mod facts;
pub mod fault;
pub mod front;
pub mod graph;
pub mod guard;
pub mod https;
pub mod ids;
pub mod inject;
pub mod injector;
pub mod inspect;
pub mod listen;
pub mod local_ca;
pub mod manifest;
pub mod metrics;
pub mod mint;
pub mod observe;
pub mod outbound;
pub mod passing;
pub mod patch;
pub mod policy;
pub mod problem;
pub mod secret;
pub mod signer;
pub mod sink;
