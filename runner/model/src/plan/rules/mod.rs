//! The rules of the deviation table: what each one changes, and which differences it explains.

pub(super) mod files;
pub(super) mod host;
pub(super) mod image;
pub(super) mod network;
