//! Why something is allowed.

use alloc::string::String;
use core::fmt;

use manifest::{Request, Scope};

/// The answer yes. `Display` names the entry of access, and the class's rules that a new guest fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The entry of access, as an index into [`manifest::Policy::access`].
    pub access: usize,
    /// Who asked.
    pub domain: String,
    /// For what.
    pub request: Request,
    /// About what; of a new guest the class that it is in from now on.
    pub scope: Scope,
    /// Of a new guest, what it was let in by.
    pub matched: Option<Matched>,
}

impl Grant {
    pub(super) fn with(self, matched: Matched) -> Self {
        Self {
            matched: Some(matched),
            ..self
        }
    }

    /// The class that it is about.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        match &self.scope {
            Scope::Class(class) => Some(class),
            Scope::Host | Scope::Domain(_) => None,
        }
    }
}

/// The rules of a class that a new guest fits, as the manifest writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// One of `kernels`.
    pub kernel: String,
    /// One of `ramdisks`.
    pub ramdisk: String,
    /// One of `command-lines`.
    pub command_line: String,
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain, scope, request, ..
        } = self;
        write!(formatter, "access of {domain} to {scope}: {request}")?;
        if let Some(Matched {
            kernel,
            ramdisk,
            command_line,
        }) = &self.matched
        {
            write!(
                formatter,
                "; {scope}: kernels: {kernel}, ramdisks: {ramdisk}, command-lines: {command_line}"
            )?;
        }
        Ok(())
    }
}
