//! The server, end to end: real repositories, a real registry, the program as people start it.

mod access;
mod flows;
mod gitlab;
mod site;
mod survival;
