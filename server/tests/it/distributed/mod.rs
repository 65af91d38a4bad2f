//! A large installation: several servers and workers as processes, with real Cassandra, RabbitMQ and
//! Consul. Some are killed. Afterwards every total equals what was posted.
//!
//! The tests run one at a time, because they kill services that they share.

mod broker;
mod consul;
mod live;
mod schedulers;
mod site;
mod workers;
