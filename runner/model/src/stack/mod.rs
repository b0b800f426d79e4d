//! The stack: the mirror as a Compose file that is safe by itself.
pub mod assemble;
pub mod encode;
pub mod scan;
pub mod secret_ref;
pub mod template;
#[cfg(test)]
mod tests;
