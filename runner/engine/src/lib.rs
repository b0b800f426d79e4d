//! Makes a mirror live on a container engine and acts on it: the async half of prodmirror.

pub mod agent;
pub mod bus;
pub mod docker;
pub mod fingerprint;
pub mod image;
pub mod live;
pub mod reach;
pub mod run;
pub mod step;
pub mod store;
