//! Images: building those that recipes describe, pulling those that specs name.
//!
//! A recipe list (`images.yaml`) names images, the folders that they are built from and
//! what they are built on. [`Recipes::read`] reads it, [`build`] makes what is missing:
//! parents first, several at a time, and nothing whose recipe did not change. [`resolve`] asks
//! what references stand for at present, and [`provide`] has the images that a stack needs.

mod build;
mod context;
mod index;
mod login;
mod manifest;
mod pull;
mod recipe;
mod resolve;
mod retry;
mod rootfs;
mod trouble;

pub use build::{BuildOptions, Built, State, build, states};
pub(crate) use index::clients as registry_clients;
pub use login::Logins;
pub use manifest::{Entry, Recipes, Rootfs, Source};
pub use pull::{Policy, Wanted, provide, provide_all};
pub use recipe::LABEL;
pub use resolve::{Ask, resolve};
pub use trouble::Trouble;
