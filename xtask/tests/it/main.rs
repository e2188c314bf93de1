//! What holds for the whole workspace and no compiler checks.

mod crates;
mod dependencies;
mod docs;
mod files;
mod floors;
mod modules;
mod unused;
mod workspace;
