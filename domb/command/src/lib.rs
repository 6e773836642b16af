//! The host tool `domb`, as a library: what its commands do, without their command line.
//!
//! - [`kernel_image`]: from a distribution's kernel file to the ELF file that domb loads;
//! - [`host_manifest`]: a host manifest with the files that it names;
//! - [`bundle_command`]: writes the bundle that Xen hands to domb;
//! - [`convert_command`]: from a guest's configuration for xl to one for domb;
//! - [`manage`]: the commands of the management domain, which ask domb;
//! - [`management`]: their connection to domb;
//! - [`sign_command`], [`key_file`], [`signature_file`]: signing images;
//! - [`policy_command`]: what domb will decide about requests;
//! - [`measure_command`]: the records that domb will write into its event log.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod bundle_command;
pub mod convert_command;
mod error;
pub mod host_manifest;
pub mod kernel_image;
pub mod key_file;
pub mod manage;
pub mod management;
pub mod measure_command;
mod output;
pub mod policy_command;
mod progress;
pub mod sign_command;
pub mod signature_file;

pub use error::Error;
pub use progress::Progress;
