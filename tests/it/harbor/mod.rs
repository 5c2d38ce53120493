//! Slipway against a Harbor: what is known before a build, how a push is refused by both ways of pushing.

mod after;
mod base_tags;
mod before;
mod builds;
mod carried;
mod cases;
mod gated;
mod headers;
mod large;
mod pace;
mod pushes;
mod recorded;
mod referrers;
mod refused;
mod replay;
mod robots;
mod setup;
mod signed;
mod ways;
