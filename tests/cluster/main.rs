//! Several brokers as processes, which are killed, stopped, paused and started again while somebody writes; and a checker
//! that knows what was acknowledged.

#[path = "../broker/mod.rs"]
mod broker;

mod check;
mod cluster;
mod damage;
mod demo;
mod faults;
mod forwards;
mod groups;
mod load;
mod members;
mod nearest;
mod throttle;
mod unclean;
mod watch;
