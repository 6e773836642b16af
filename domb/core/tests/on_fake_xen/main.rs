//! The builder on a hypervisor that is not there: memory in vectors, and each call can be made to fail.

#![forbid(unsafe_code)]

mod bytes;
mod clock;
mod consoles;
mod fake_store;
mod fake_xen;
mod guest;
mod guest_view;
mod kernel;
mod machine;
mod pv_start;
mod pvh_start;
mod scene;

mod any_size;
mod build_faults;
mod fake_itself;
mod host_asked;
mod host_faults;
mod host_lifecycle;
mod host_measurement;
mod host_service;
mod host_start;
mod host_store;
mod store_faults;
mod store_requests;
mod store_restart;
mod store_tree;
