//! Conversations of a scripted proxy with the state of its stream.

mod ahead;
mod aside;
mod delta;
mod holdings;
mod language;
mod model;
mod order;
mod proxy;
mod question;
mod refusal;
mod secret;
mod sotw;
mod step;
mod talk;
mod whole;
