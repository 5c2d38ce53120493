//! Slipway against a Harbor: what is known before a build, how a push is refused by both ways of pushing.

mod before;
mod builds;
mod pushes;
mod recorded;
mod refused;
mod replay;
mod setup;
mod ways;
