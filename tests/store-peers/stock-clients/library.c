/* Calls every function of libxenstore's header that a client uses, and prints what it gave: a line each. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

static struct xs_handle *store;

static void tell(const char *what, bool done)
{
    printf("%s: %s\n", what, done ? "done" : strerrorname_np(errno));
}

static void tell_value(const char *path, xs_transaction_t transaction)
{
    unsigned length;
    char *value = xs_read(store, transaction, path, &length);
    if (!value) {
        printf("read %s: %s\n", path, strerrorname_np(errno));
        return;
    }
    printf("read %s: %u bytes, \"", path, length);
    for (unsigned i = 0; i < length && i < 40; i++)
        printf(value[i] >= ' ' && value[i] <= '~' ? "%c" : "\\%03hho", value[i]);
    /* The library puts a NUL behind it. */
    printf("\"%s\n", value[length] ? ", no end" : "");
    free(value);
}

static int by_name(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void tell_directory(const char *path)
{
    unsigned count;
    char **names = xs_directory(store, XBT_NULL, path, &count);
    if (!names) {
        printf("directory %s: %s\n", path, strerrorname_np(errno));
        return;
    }
    qsort(names, count, sizeof *names, by_name);
    printf("directory %s: %u", path, count);
    for (unsigned i = 0; i < count && i < 10; i++)
        printf(" %s", names[i]);
    printf("\n");
    free(names);
}

static void tell_permissions(const char *path)
{
    unsigned count;
    struct xs_permissions *list = xs_get_permissions(store, XBT_NULL, path, &count);
    if (!list) {
        printf("permissions of %s: %s\n", path, strerrorname_np(errno));
        return;
    }
    printf("permissions of %s:", path);
    for (unsigned i = 0; i < count; i++)
        printf(" %u=%u", list[i].id, (unsigned)list[i].perms);
    printf("\n");
    free(list);
}

static void tell_event(void)
{
    unsigned count;
    char **event = xs_read_watch(store, &count);
    if (!event) {
        printf("event: %s\n", strerrorname_np(errno));
        return;
    }
    printf("event: %u, %s, %s\n", count, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
    free(event);
}

static void nodes(void)
{
    tell("make a directory", xs_mkdir(store, XBT_NULL, "/library/directory"));
    tell("make it again", xs_mkdir(store, XBT_NULL, "/library/directory"));
    tell("write", xs_write(store, XBT_NULL, "/library/text", "value", 5));
    tell("write nothing", xs_write(store, XBT_NULL, "/library/empty", "", 0));
    tell("write any bytes", xs_write(store, XBT_NULL, "/library/bytes", "\0\1\377\n", 4));
    tell_value("/library/text", XBT_NULL);
    tell_value("/library/empty", XBT_NULL);
    tell_value("/library/bytes", XBT_NULL);
    tell_value("/library/none", XBT_NULL);
    tell("write of a path that is none", xs_write(store, XBT_NULL, "/library/a:b", "x", 1));
    tell_directory("/library");
    tell_directory("/library/directory");
    tell_directory("/library/none");
    tell("remove", xs_rm(store, XBT_NULL, "/library/directory"));
    tell("remove what is not there", xs_rm(store, XBT_NULL, "/library/none"));
    tell("remove below what is not there", xs_rm(store, XBT_NULL, "/library/none/none"));
    tell_directory("/library");
}

static void many_children(void)
{
    char path[64];
    bool done = true;
    for (int i = 0; i < 500; i++) {
        snprintf(path, sizeof path, "/many/a-child-with-a-long-name-%04d", i);
        done = done && xs_write(store, XBT_NULL, path, "", 0);
    }
    tell("write many", done);
    /* More than a message: the library takes it in parts. */
    tell_directory("/many");
}

static void permissions(void)
{
    struct xs_permissions list[] = {
        {.id = 7, .perms = XS_PERM_NONE},
        {.id = 8, .perms = XS_PERM_READ},
        {.id = 3, .perms = XS_PERM_READ | XS_PERM_WRITE},
    };
    tell_permissions("/library");
    tell("set permissions", xs_set_permissions(store, XBT_NULL, "/library/text", list, 3));
    tell_permissions("/library/text");
    tell_permissions("/library/none");
}

static void transactions(void)
{
    struct xs_handle *other = xs_open(0);
    xs_transaction_t transaction = xs_transaction_start(store);
    tell("begin", transaction != XBT_NULL);
    tell("write in it", xs_write(store, transaction, "/library/text", "inside", 6));
    tell_value("/library/text", transaction);
    tell_value("/library/text", XBT_NULL);
    tell("commit", xs_transaction_end(store, transaction, false));
    tell_value("/library/text", XBT_NULL);

    transaction = xs_transaction_start(store);
    tell("remove in it", xs_rm(store, transaction, "/library/text"));
    tell("abort", xs_transaction_end(store, transaction, true));
    tell_value("/library/text", XBT_NULL);

    transaction = xs_transaction_start(store);
    tell_value("/library/text", transaction);
    tell("another writes", xs_write(other, XBT_NULL, "/library/text", "outside", 7));
    tell("write in it", xs_write(store, transaction, "/library/text", "inside", 6));
    tell("commit against another's write", xs_transaction_end(store, transaction, false));
    tell_value("/library/text", XBT_NULL);
    xs_close(other);
}

static void watches(void)
{
    struct pollfd file = {.fd = xs_fileno(store), .events = POLLIN};
    tell("watch", xs_watch(store, "/library", "first token"));
    tell("the same watch again", xs_watch(store, "/library", "first token"));
    tell_event();
    tell("change", xs_write(store, XBT_NULL, "/library/new/node", "", 0));
    printf("readable: %d\n", poll(&file, 1, 10000));
    tell_event();
    tell("another watch", xs_watch(store, "/library/text", "second token"));
    tell_event();
    tell("end the first", xs_unwatch(store, "/library", "first token"));
    tell("no such watch", xs_unwatch(store, "/library", "first token"));
    tell("change", xs_write(store, XBT_NULL, "/library/text", "changed", 7));
    tell_event();
    tell("no event", xs_check_watch(store) != NULL);
    tell("end the second", xs_unwatch(store, "/library/text", "second token"));
}

static void tell_domain(unsigned domain)
{
    char *path = xs_get_domain_path(store, domain);
    printf("domain %u: %s, %s\n", domain, path, xs_is_domain_introduced(store, domain) ? "introduced" : "not introduced");
    free(path);
}

static void domains(void)
{
    tell_domain(0);
    tell_domain(7);
    tell("introduce domain 7", xs_introduce_domain(store, 7, 1, 5));
    tell_domain(7);
    tell("introduce it again", xs_introduce_domain(store, 7, 1, 6));
    tell("introduce domain 8", xs_introduce_domain(store, 8, 1, 5));
    tell("introduce domain 9 that is not there", xs_introduce_domain(store, 9, 1, 5));
    tell("set target", xs_set_target(store, 8, 7));
    tell("resume domain 7", xs_resume_domain(store, 7));
    tell("release domain 8", xs_release_domain(store, 8));
    tell("release domain 7", xs_release_domain(store, 7));
    tell_domain(7);
    tell("release again", xs_release_domain(store, 7));
    tell("resume domain 9", xs_resume_domain(store, 9));
}

int main(void)
{
    store = xs_open(0);
    if (!store) {
        perror("xs_open");
        return 1;
    }
    nodes();
    many_children();
    permissions();
    transactions();
    watches();
    domains();
    printf("subpath: %d %d\n", xs_path_is_subpath("/a", "/a/b"), xs_path_is_subpath("/a", "/ab"));
    xs_close(store);
    printf("end\n");
    return 0;
}
