//! Messages, names and answers that are too long.

use std::time::Duration;

use anyhow::ensure;
use store_peers::StoreKind;
use xen::DomId;
use xen::store::{Header, Operation};

use crate::{BOTH, ONLY_C, on};

#[test]
fn xsa_72_a_list_that_fits_into_no_answer_is_refused_and_can_be_had_in_parts() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        ensure!(scene.builder.mkdir(0, "/many")?.is_done());
        ensure!(scene.builder.set_permissions(0, "/many", "n0 r7")?.is_done());
        let mut wanted: Vec<String> = (0..300)
            .map(|index| format!("a-child-with-a-long-name-{index:04}"))
            .collect();
        for name in &wanted {
            ensure!(scene.builder.write(0, &format!("/many/{name}"), b"")?.is_done());
        }
        ensure!(guest.directory(0, "/many")?.is_refused("E2BIG"));
        let mut list = Vec::new();
        let mut generation = None;
        // A part: the generation and a NUL, then names, each with a NUL; a further NUL ends the last part.
        while !list.ends_with(b"\0\0") {
            let request = format!("/many\0{}\0", list.len());
            let part = guest.call(Operation::DirectoryPart, 0, request.as_bytes())?.bytes()?;
            let split = part.iter().position(|&byte| byte == 0).unwrap_or(part.len() - 1);
            let (number, names) = part.split_at(split + 1);
            ensure!(generation.get_or_insert(number.to_vec()) == number, "the list changed");
            list.extend_from_slice(names);
        }
        let mut names: Vec<String> = String::from_utf8(list)?
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        names.sort();
        wanted.sort();
        ensure!(names == wanted, "{} names of {}", names.len(), wanted.len());
        Ok(())
    });
}

#[test]
fn xsa_323_what_a_long_relative_path_wrote_can_be_read_by_its_absolute_one() {
    on(BOTH, |scene| {
        let mut guest = scene.guest(7)?;
        let relative = format!("{}/{}", "a".repeat(509), "b".repeat(490));
        ensure!(guest.write(0, &relative, b"value")?.is_done());
        let absolute = format!("/local/domain/7/{relative}");
        ensure!(guest.read(0, &absolute)?.bytes()? == b"value");
        ensure!(scene.builder.read(0, &absolute)?.bytes()? == b"value");
        ensure!(guest.rm(0, &absolute)?.is_done());
        ensure!(guest.read(0, &relative)?.is_refused("ENOENT"));
        Ok(())
    });
}

#[test]
fn xsa_324_an_event_that_fits_into_no_message_harms_nobody() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let token = "t".repeat(4000);
        // A store may refuse such a token at once.
        let accepted = guest.watch("data", &token)?.is_done();
        let path = format!("data/{}/{}", "a".repeat(200), "b".repeat(200));
        ensure!(guest.write(0, &path, b"value")?.is_done());
        ensure!(guest.read(0, &path)?.bytes()? == b"value");
        for event in guest.take_events() {
            ensure!(accepted && event.token == token, "a cut event: {event:?}");
        }
        Ok(())
    });
}

#[test]
fn xsa_420_a_length_that_cannot_be_ends_only_the_connection_that_sent_it() {
    on(BOTH, |scene| {
        let mut neighbour = scene.guest(8)?;
        for length in [4097, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff] {
            let mut guest = scene.guest(7)?;
            let header = Header {
                operation: Operation::Write as u32,
                request: 1,
                transaction: 0,
                length,
            };
            guest.link().put(&header.encode())?;
            guest.link().put(b"data\0value")?;
            guest.link().kick()?;
            ensure!(neighbour.write(0, "data", b"x")?.is_done(), "length {length:#x}");
            ensure!(
                guest
                    .receive_until(std::time::Instant::now() + Duration::from_millis(50))?
                    .is_none()
            );
            ensure!(scene.builder.release(DomId(7))?.is_done(), "length {length:#x}");
        }
        Ok(())
    });
}

#[test]
fn xsa_418_a_thousand_levels_are_made_listed_and_removed() {
    on(ONLY_C, |scene| {
        let levels = |count: usize| vec!["a"; count].join("/");
        // As a domain: within its quota of nodes.
        let mut guest = scene.guest(7)?;
        let deep = levels(900);
        ensure!(guest.write(0, &deep, b"bottom")?.is_done());
        ensure!(guest.read(0, &deep)?.bytes()? == b"bottom");
        ensure!(guest.directory(0, &levels(899))?.bytes()? == b"a\0");
        ensure!(guest.rm(0, "a")?.is_done());
        ensure!(guest.directory(0, ".")?.is_refused("EINVAL"));
        // As the builder: as deep as a path can be. C xenstored has a quota for that, of 2048 bytes.
        let deepest = format!(
            "/{}",
            levels(if scene.store.kind() == StoreKind::Guard {
                1500
            } else {
                1000
            })
        );
        ensure!(scene.builder.write(0, &deepest, b"bottom")?.is_done());
        ensure!(scene.builder.read(0, &deepest)?.bytes()? == b"bottom");
        let transaction = scene.builder.begin()?;
        ensure!(scene.builder.rm(transaction, "/a")?.is_done());
        ensure!(scene.builder.end(transaction, true)?.is_done());
        ensure!(scene.builder.read(0, "/a")?.is_refused("ENOENT"));
        // And when a domain that owns such a tree goes.
        ensure!(guest.write(0, &deep, b"bottom")?.is_done());
        ensure!(scene.builder.release(DomId(7))?.is_done());
        ensure!(scene.builder.read(0, "/local/domain/7/a")?.is_refused("ENOENT"));
        Ok(())
    });
}

#[test]
fn xsa_481_a_path_that_ends_in_a_slash_is_refused() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        for path in [
            "/local/domain/",
            "/local/domain/7/",
            "data/",
            "//",
            "",
            "/local//domain",
        ] {
            for operation in [
                Operation::Read,
                Operation::Directory,
                Operation::GetPermissions,
                Operation::Mkdir,
                Operation::Rm,
            ] {
                let answer = guest.call(operation, 0, format!("{path}\0").as_bytes())?;
                ensure!(answer.is_refused("EINVAL"), "{} {path:?}: {answer:?}", operation.name());
            }
        }
        Ok(())
    });
}
