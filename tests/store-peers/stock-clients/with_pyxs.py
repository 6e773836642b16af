"""Uses every part of pyxs on the store at $XENSTORED_PATH, and prints what it gave: a line each."""

import errno

import pyxs


def tell(what, action):
    """Prints what an action gave, or the error that it raised."""
    try:
        print(f"{what}: {action()!r}")
    except pyxs.PyXSError as error:
        print(f"{what}: {errno.errorcode.get(error.args[0], error.args)}")


def nodes(client):
    tell("write", lambda: client.write(b"/python/text", b"value"))
    tell("read", lambda: client.read(b"/python/text"))
    tell("as in a dictionary", lambda: client[b"/python/text"])
    tell("what can be printed", lambda: client.write(b"/python/bytes", b'!~ "=,'))
    tell("read it", lambda: client.read(b"/python/bytes"))
    tell("make a directory", lambda: client.mkdir(b"/python/directory/below"))
    tell("list", lambda: sorted(client.list(b"/python")))
    tell("what is there", lambda: client.exists(b"/python/directory"))
    tell("what is not there", lambda: client.exists(b"/python/none"))
    tell("read what is not there", lambda: client.read(b"/python/none"))
    tell("read it with a default", lambda: client.read(b"/python/none", b"default"))
    tell("walk", lambda: sorted((path, value) for path, value, _ in client.walk(b"/python")))
    tell("permissions", lambda: client.get_perms(b"/python/text"))
    tell("set permissions", lambda: client.set_perms(b"/python/text", [b"n7", b"r8", b"b3"]))
    tell("permissions", lambda: client.get_perms(b"/python/text"))
    tell("delete", lambda: client.delete(b"/python/directory"))
    tell("delete what is not there", lambda: client.delete(b"/python/none"))
    tell("list", lambda: sorted(client.list(b"/python")))


def transactions(client, other):
    client.transaction()
    tell("write in a transaction", lambda: client.write(b"/python/text", b"inside"))
    tell("another reads", lambda: other.read(b"/python/text"))
    tell("commit", client.commit)
    tell("another reads", lambda: other.read(b"/python/text"))
    client.transaction()
    tell("delete in a transaction", lambda: client.delete(b"/python/text"))
    tell("roll back", client.rollback)
    client.transaction()
    tell("read in a transaction", lambda: client.read(b"/python/text"))
    tell("another writes", lambda: other.write(b"/python/text", b"outside"))
    tell("write in a transaction", lambda: client.write(b"/python/text", b"inside"))
    tell("commit against another's write", client.commit)
    tell("read", lambda: client.read(b"/python/text"))


def watches(client, other):
    with client.monitor() as monitor:
        monitor.watch(b"/python", b"token")
        events = monitor.wait()
        tell("first event", lambda: tuple(next(events)))
        other.write(b"/python/new/node", b"x")
        tell("event of another's write", lambda: tuple(next(events)))
        other.delete(b"/python/new")
        tell("event of a removal", lambda: tuple(next(events)))
        monitor.unwatch(b"/python", b"token")
    tell("watches left", lambda: monitor.watched)


def domains(client):
    tell("path of a domain", lambda: client.get_domain_path(7))
    tell("not introduced", lambda: client.is_domain_introduced(7))
    tell("introduce", lambda: client.introduce_domain(7, 1, 5))
    tell("introduced", lambda: client.is_domain_introduced(7))
    tell("introduce one that is not there", lambda: client.introduce_domain(9, 1, 5))
    tell("introduce another", lambda: client.introduce_domain(8, 1, 5))
    tell("set target", lambda: client.set_target(7, 8))
    tell("resume", lambda: client.resume_domain(7))
    tell("release", lambda: client.release_domain(7))
    tell("release again", lambda: client.release_domain(7))
    tell("not introduced", lambda: client.is_domain_introduced(7))


# It asks Linux, not the store, whether this is the control domain, and does less where it is not.
pyxs.Client.SU = True
with pyxs.Client() as one, pyxs.Client() as two:
    nodes(one)
    transactions(one, two)
    watches(one, two)
    domains(one)
print("end")
