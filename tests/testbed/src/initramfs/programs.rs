//! What a program of this machine needs to run elsewhere.

/// The files that `ldd` names: `name => /path (address)` for a library, `/path (address)` for the loader.
pub(super) fn libraries(listing: &str) -> Vec<&str> {
    listing
        .lines()
        .filter_map(|line| {
            let line = line.trim();
            let place = line.split_once("=> ").map_or(line, |(_, place)| place);
            place.split_whitespace().next().filter(|path| path.starts_with('/'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibxenstore.so.4 => /lib/x86_64-linux-gnu/libxenstore.so.4 (0x7f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n\tlibgone.so => not found\n";
        assert_eq!(
            libraries(listing),
            ["/lib/x86_64-linux-gnu/libxenstore.so.4", "/lib64/ld-linux-x86-64.so.2"]
        );
    }
}
