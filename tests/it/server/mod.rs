//! The server, end to end: real repositories, a real registry, the program as people start it.

mod access;
mod applications;
mod browser;
mod comments;
mod connections;
mod contract;
mod door;
mod ends;
mod figures;
mod flows;
mod forgery;
mod gitlab;
mod grown;
mod harbor;
mod history;
mod killed;
mod limited;
mod lost;
mod markup;
mod pages;
mod payloads;
mod proxied;
mod reach;
mod scope;
mod shapes;
mod site;
mod survival;
#[cfg(feature = "otlp")]
mod traces;
