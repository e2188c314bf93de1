//! Whole streams against the engine, over real connections.

mod live;
mod mesh;
mod simulation;
mod streams;
