//! The source on a real directory.

mod broken;
mod change;
mod control;
mod load;
mod mesh_config;
mod rig;
mod start;
mod vanish;
