//! Whole streams against the engine, over real connections.

mod mesh;
mod simulation;
