//! The wire format, and the domain's end of it against a store that answers with anything and writes anywhere in the ring page:
//! requests come back as errors or with what the protocol allows; events that nobody takes do not pile up.
//!
//! An input is a byte for each request, and what the store does before each look of the client's: a length and bytes to be put in, or
//! an offset and bytes to be written over the page.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xen::DomId;
use xen::ring::{BadIndex, SharedPage};
use xen::store::client::{ClientError, Transaction};
use xen::store::wire::{self, HEADER_BYTES, Header, MAX_PAYLOAD};
use xen::store::{Access, Client, Operation, Permission, StoreError, StoreRing, Transport};
use xen::vchan::{LocalPages, SharedPages as _};

/// A ring page whose other end is the input.
struct Hostile<'a> {
    page: SharedPage<'a>,
    script: &'a [u8],
}

impl<'a> Hostile<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.script.split_at(count.min(self.script.len()));
        self.script = rest;
        bytes
    }

    fn number(&mut self) -> Option<u8> {
        self.take(1).first().copied()
    }

    /// The store's turn; none when it has nothing more to do.
    fn act(&mut self) -> Option<()> {
        let ring = StoreRing::new(self.page);
        // Room for requests, in any case.
        let mut requests = [0; 1024];
        let _ = ring.read_requests(&mut requests);
        let act = self.number()?;
        match act >> 6 {
            // A whole message; its header says what it must, or something else.
            0 => {
                let operation = self.number()?;
                let header = Header {
                    operation: if act & 32 == 0 {
                        Operation::WatchEvent as u32
                    } else {
                        operation.into()
                    },
                    request: self.number()?.into(),
                    transaction: 0,
                    length: u32::from(act & 31),
                };
                let body = self.take(usize::from(act & 31));
                let _ = ring.write_replies(&[header.encode().as_slice(), body].concat());
            }
            1 => {
                let bytes = self.take(usize::from(act & 63) + 1);
                let _ = ring.write_replies(bytes);
            }
            2 => {
                let offset = 2048 + usize::from(act & 7) * 4;
                let bytes = self.take(4);
                assert!(self.page.write_bytes(offset, bytes));
            }
            _ => {
                let offset = usize::from(u16::from_le_bytes([self.number()?, self.number()?])) % 4000;
                let bytes = self.take(usize::from(act & 63) + 1);
                assert!(self.page.write_bytes(offset, bytes));
            }
        }
        Some(())
    }
}

/// The store does nothing more, or an index of its cannot be.
#[derive(Debug)]
enum Failed {
    Silent,
    Index(#[expect(dead_code, reason = "for who looks at a finding")] BadIndex),
}

impl Transport for Hostile<'_> {
    type Error = Failed;

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Failed> {
        loop {
            let put = StoreRing::new(self.page).write_requests(bytes).map_err(Failed::Index)?;
            bytes = &bytes[put..];
            if bytes.is_empty() {
                return Ok(());
            }
            self.act().ok_or(Failed::Silent)?;
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Failed> {
        loop {
            let count = self.poll(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.act().ok_or(Failed::Silent)?;
        }
    }

    fn poll(&mut self, buffer: &mut [u8]) -> Result<usize, Failed> {
        let count = StoreRing::new(self.page).read_replies(buffer).map_err(Failed::Index)?;
        assert!(count <= buffer.len());
        Ok(count)
    }
}

/// What is read is written as it was.
fn formats(bytes: &[u8]) {
    if let Some(header) = bytes.first_chunk::<HEADER_BYTES>() {
        let decoded = Header::decode(header);
        assert_eq!(&decoded.encode(), header);
        if let Some(operation) = Operation::from_number(decoded.operation) {
            assert_eq!(operation as u32, decoded.operation);
        }
    }
    if let Some(permission) = Permission::decode(bytes) {
        assert_eq!(Permission::decode(permission.to_string().as_bytes()), Some(permission));
    }
    if let Some(error) = StoreError::from_name(bytes) {
        assert_eq!(error.name().as_bytes(), bytes);
    }
    let message = wire::message(Operation::Write, 7, 8, &[bytes, bytes]);
    let header = Header::decode(message.first_chunk().unwrap());
    assert_eq!(header.length as usize, message.len() - HEADER_BYTES);
}

fuzz_target!(|bytes: &[u8]| {
    formats(bytes);
    let Some((&count, script)) = bytes.split_first() else {
        return;
    };
    let (requests, script) = script.split_at(usize::from(count % 16).min(script.len()));
    let pages = LocalPages::new(1);
    let page = pages.page(0).expect("there is one");
    let mut client = Client::new(Hostile { page, script });
    let mut transaction = Transaction::NONE;
    for request in requests {
        let done = match request % 12 {
            0 => client
                .read(transaction, "/a")
                .map(|value| assert!(value.len() <= MAX_PAYLOAD)),
            1 => client.write(transaction, "/a", &[b'v'; 2000]),
            2 => client.make_directory(transaction, "/a/b"),
            3 => client.remove(transaction, "/a"),
            4 => client.set_permissions(transaction, "/a", &[Permission::new(DomId(3), Access::READ)]),
            5 => client.begin().map(|begun| {
                assert_ne!(begun, Transaction::NONE);
                transaction = begun;
            }),
            6 => client.commit(transaction).map(drop),
            7 => client.abort(transaction),
            8 => client.watch("/a", "token"),
            9 => client.introduce(DomId(3), 7, 9),
            10 => client.control(&["check"]).map(drop),
            _ => {
                if client.transport().act().is_none() {
                    break;
                }
                client.event().map(|event| {
                    if let Some(event) = event {
                        // A byte that is no text becomes three.
                        assert!(event.path.len() + event.token.len() <= 3 * MAX_PAYLOAD);
                    }
                })
            }
        };
        match done {
            Ok(()) | Err(ClientError::Refused { .. }) => {}
            Err(ClientError::TooLong { bytes, .. }) => assert!(bytes > MAX_PAYLOAD),
            Err(ClientError::Protocol { .. } | ClientError::Transport { .. }) => break,
        }
    }
});
