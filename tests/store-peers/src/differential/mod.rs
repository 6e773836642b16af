//! The same requests to several stores.
