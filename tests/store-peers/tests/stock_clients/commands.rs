//! The commands of xenstore-utils that ask and are done.

use anyhow::{Result, ensure};

use crate::{Both, command};

#[test]
fn xenstore_write_and_xenstore_read_agree() -> Result<()> {
    let both = Both::start()?;
    both.done("xenstore-write /a/b value")?;
    ensure!(both.done("xenstore-read /a/b")? == "value\n");
    ensure!(both.done("xenstore-read /a")? == "\n");
    both.done("xenstore-write /a/c first /a/d second")?;
    ensure!(both.done("xenstore-read -p /a/c /a/d")? == "/a/c: first\n/a/d: second\n");
    both.done(r"xenstore-write /a/bytes \x01\n\xff")?;
    ensure!(both.done("xenstore-read /a/bytes")? == "\\001\\n\\xff\n");
    both.done(r"xenstore-write -R /a/raw \x01")?;
    ensure!(both.done("xenstore-read -R /a/raw")? == "\\x01");
    both.done("xenstore-write relative here")?;
    ensure!(both.done("xenstore-read /local/domain/0/relative relative")? == "here\nhere\n");
    Ok(())
}

#[test]
fn xenstore_read_and_xenstore_write_say_what_they_could_not_do() -> Result<()> {
    let both = Both::start()?;
    ensure!(both.refused("xenstore-read /none")? == "xenstore-read: couldn't read path /none\n");
    both.done("xenstore-write /there 1")?;
    // Those before it are printed.
    let said = both.command("xenstore-read /there /none")?;
    ensure!(said.status == Some(1) && said.out == "1\n", "{said:#?}");
    both.refused("xenstore-read //")?;
    both.refused("xenstore-write /not:a:path 1")?;
    // All or nothing.
    both.refused("xenstore-write /first 1 /not:a:path 1")?;
    both.refused("xenstore-read /first")?;
    both.refused(&format!("xenstore-write /{} 1", "a".repeat(3073)))?;
    Ok(())
}

#[test]
fn a_value_as_long_as_a_message_goes_in_and_comes_out() -> Result<()> {
    let both = Both::start()?;
    // A message has 4096 bytes for the path, a NUL and the value.
    let longest = "x".repeat(4096 - "/a".len() - 1);
    both.done(&format!("xenstore-write /a {longest}"))?;
    ensure!(both.done("xenstore-read /a")? == format!("{longest}\n"));
    both.refused(&format!("xenstore-write /a {longest}y"))?;
    Ok(())
}

#[test]
fn xenstore_exists_answers_by_its_exit_status() -> Result<()> {
    let both = Both::start()?;
    both.done("xenstore-write /a/b 1")?;
    both.done("xenstore-exists /a/b")?;
    both.done("xenstore-exists /a /a/b")?;
    ensure!(both.refused("xenstore-exists /none")?.is_empty());
    ensure!(both.refused("xenstore-exists /a /none")?.is_empty());
    Ok(())
}

#[test]
fn xenstore_list_lists() -> Result<()> {
    let both = Both::start()?;
    both.done("xenstore-write /a/1 x /a/2 y /a/3 z /a/3/deeper x")?;
    ensure!(both.done("xenstore-list /a")? == "1\n2\n3\n");
    ensure!(both.done("xenstore-list -p /a")? == "/a/1\n/a/2\n/a/3\n");
    ensure!(both.done("xenstore-list /a/1")?.is_empty());
    ensure!(both.refused("xenstore-list /none")? == "xenstore-list: could not list path /none\n");
    Ok(())
}

#[test]
fn xenstore_list_takes_a_list_that_fits_into_no_message() -> Result<()> {
    let mut both = Both::start()?;
    let mut wanted = String::new();
    for index in 0..400 {
        let name = format!("a-child-with-a-long-name-{index:04}");
        for scene in [&mut both.ours, &mut both.stock] {
            ensure!(scene.builder.write(0, &format!("/many/{name}"), b"")?.is_done());
        }
        wanted += &format!("{name}\n");
    }
    // The library asks for it in parts.
    ensure!(both.done("xenstore-list /many")? == wanted);
    Ok(())
}

#[test]
fn xenstore_ls_shows_the_tree() -> Result<()> {
    let both = Both::start()?;
    both.done("xenstore-write /a/b value /a/b/c deep /a/d other")?;
    both.done("xenstore-chmod /a/d n3 r4 w5 b6")?;
    ensure!(both.done("xenstore-ls /a")? == "b = \"value\"\n c = \"deep\"\nd = \"other\"\n");
    let flat = both.done("xenstore-ls -f /a")?;
    ensure!(flat == "/a/b = \"value\"\n/a/b/c = \"deep\"\n/a/d = \"other\"\n");
    let with_permissions = both.done("xenstore-ls -fp /a")?;
    ensure!(with_permissions.ends_with("(n3,r4,w5,b6)\n"), "{with_permissions}");
    both.done("xenstore-ls -p /a")?;
    ensure!(both.refused("xenstore-ls /none")?.contains("No such file or directory"));
    Ok(())
}

#[test]
fn xenstore_ls_shows_the_same_of_a_fresh_store() -> Result<()> {
    let both = Both::start()?;
    // The order of children is each store's own: docs/store-differences.md, order-of-children.
    let sorted = |out: &str| -> Vec<String> {
        let mut lines: Vec<_> = out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let ls = command("xenstore-ls")?;
    let (ours, stock) = (
        crate::say(&both.ours, &ls, &["-fp"])?,
        crate::say(&both.stock, &ls, &["-fp"])?,
    );
    ensure!(ours.status == Some(0), "{ours:#?}");
    ensure!(sorted(&ours.out) == sorted(&stock.out), "{ours:#?}\n{stock:#?}");
    Ok(())
}

#[test]
fn xenstore_chmod_sets_permissions() -> Result<()> {
    let both = Both::start()?;
    both.done("xenstore-write /a/b/c 1 /a/b/d 2")?;
    both.done("xenstore-chmod /a/b n1 r2")?;
    both.done("xenstore-ls -fp /a")?;
    both.done("xenstore-chmod -r /a/b b3")?;
    let below = both.done("xenstore-ls -fp /a/b")?;
    ensure!(below.lines().all(|line| line.ends_with("(b3)")), "{below}");
    both.done("xenstore-chmod -u /a/b/c w4 n5")?;
    both.done("xenstore-ls -fp /a")?;
    ensure!(both.refused("xenstore-chmod /none r0")?.contains("/none"));
    ensure!(both.refused("xenstore-chmod /a x0")?.contains("Invalid permission"));
    Ok(())
}

#[test]
fn xenstore_rm_removes() -> Result<()> {
    let both = Both::start()?;
    both.done("xenstore-write /a/b/c 1 /a/d 2")?;
    both.done("xenstore-rm /a/b")?;
    ensure!(both.done("xenstore-ls -f /a")? == "/a/d = \"2\"\n");
    // What is not there, below what is, is removed.
    both.done("xenstore-rm /a/none")?;
    both.refused("xenstore-rm /none/none")?;
    // With -t those above go, too, as long as nothing is in them.
    both.done("xenstore-write /e/f/g 1")?;
    both.done("xenstore-rm -t /e/f/g")?;
    ensure!(both.refused("xenstore-exists /e")?.is_empty());
    both.done("xenstore-rm /a /tool")?;
    Ok(())
}

#[test]
fn xenstore_with_the_command_as_an_argument_does_the_same() -> Result<()> {
    let both = Both::start()?;
    both.done("xenstore write /a 1")?;
    ensure!(both.done("xenstore read /a")? == "1\n");
    both.refused("xenstore unheard-of /a")?;
    Ok(())
}
