//! Conversations of a scripted proxy with the state of its stream.
