//! Several brokers as processes, which are killed, stopped, paused, cut off and started again while somebody writes; and a
//! checker that knows what was acknowledged.

#[path = "../broker/mod.rs"]
mod broker;

mod ballast;
mod check;
mod clock;
mod cluster;
mod cuts;
mod damage;
mod demo;
mod faults;
mod forwards;
mod full_disk;
mod groups;
mod load;
mod members;
mod nearest;
mod nemesis;
mod network;
mod power;
mod run;
mod throttle;
mod unclean;
mod watch;
