//! A large installation: several servers and workers as real processes, on a real Cassandra, with a
//! real RabbitMQ and Consul, some of which are killed. Afterwards every total is what was posted.
//!
//! One test at a time: they kill what they share.

mod broker;
mod consul;
mod live;
mod schedulers;
mod site;
mod workers;
