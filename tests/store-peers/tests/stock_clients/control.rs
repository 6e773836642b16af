//! xenstore-control: what operators ask the server itself. Each store has its own commands; here are this project's.

use anyhow::{Result, ensure};
use store_peers::StoreKind;
use testbed::Assets;

use crate::{Said, say, scene};

#[test]
fn xenstore_control_tells_and_sets_quotas_and_checks_the_store() -> Result<()> {
    let program = Assets::load()?.stock_store.servers.join("xenstore-control");
    let mut scene = scene(StoreKind::Guard)?;
    let mut guest = scene.guest(7)?;
    let control = |line: &str| say(&scene, &program, &line.split(' ').collect::<Vec<_>>());
    let done = |line: &str| -> Result<String> {
        let Said { status, out, error } = control(line)?;
        ensure!(
            status == Some(0) && error.is_empty(),
            "{line}: {status:?} {out} {error}"
        );
        Ok(out)
    };
    ensure!(done("check")? == "OK\n");
    ensure!(done("quota")?.contains("nodes            : 1000\n"));
    ensure!(done("quota set 7 nodes 3")? == "OK\n");
    ensure!(done("quota 7")?.contains("nodes            : 3, 1 used\n"));
    ensure!(done("print")?.contains("\ndomain 7 (-): 1 nodes "));
    ensure!(done("explain 7 WRITE /tool")?.ends_with("(n0) refuse it\n"));
    ensure!(done("log hello")? == "OK\n");
    let unknown = control("memreport")?;
    ensure!(unknown.status == Some(3), "{unknown:?}");
    for (path, fits) in [("a", true), ("b", true), ("c", false)] {
        ensure!(guest.write(0, path, b"1")?.is_done() == fits, "{path}");
    }
    ensure!(done("check")? == "OK\n");
    let log = scene.store.log();
    ensure!(log.contains("control: hello\n"), "{log}");
    ensure!(
        log.contains("warning: domain 7 (-): quota nodes: 3 of 3 used, 4 needed\n"),
        "{log}"
    );
    Ok(())
}
