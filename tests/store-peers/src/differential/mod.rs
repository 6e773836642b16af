//! The same requests to several stores, and what is different.
//!
//! - [`Action`] is one step of one of several clients, as [`actions`] makes them at random.
//! - [`Player`] does steps on one store; what it saw is an [`Observation`] for each step.
//! - [`compare`] tells where two stores differ other than in the ways of [`KNOWN`], which docs/store-differences.md explains.

mod action;
mod compare;
mod known;
mod player;
mod strategy;

pub use action::{Action, CLIENTS, GUESTS, Request, SOCKETS};
pub use compare::{Difference, compare};
pub use known::{KNOWN, Known};
pub use player::{Node, Observation, Player};
pub use strategy::{actions, transactions_apart};
