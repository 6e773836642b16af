/* Paths that are compiled into the stock stores, redirected: the ring of domain 0 to its file, and everything below
 * /var/run/xenstored and /var/log/xen to $STAND_IN_DIRECTORY, so that no store of this machine is touched. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rings.h"

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "stand-in: $%s is not set\n", name);
        abort();
    }
    return value;
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}

char *ring_file(char path[PATH_BYTES], const char *format, int number)
{
    char name[64];
    snprintf(name, sizeof name, format, number);
    if (snprintf(path, PATH_BYTES, "%s/%s", variable("STAND_IN_RINGS"), name) >= PATH_BYTES)
        abort();
    return path;
}

static const char *redirected(char path[PATH_BYTES], const char *wanted)
{
    static const char *const moved[] = {"/var/run/xenstored", "/var/log/xen"};
    if (strcmp(wanted, "/proc/xen/xsd_kva") == 0)
        return ring_file(path, "ring.%d", 0);
    if (strcmp(wanted, "/proc/xen/xsd_port") == 0)
        return ring_file(path, "xsd_port", 0);
    for (unsigned i = 0; i < sizeof moved / sizeof moved[0]; i++) {
        size_t length = strlen(moved[i]);
        if (strncmp(wanted, moved[i], length) == 0 && (wanted[length] == '/' || wanted[length] == 0)) {
            if (snprintf(path, PATH_BYTES, "%s%s", variable("STAND_IN_DIRECTORY"), wanted + length) >= PATH_BYTES)
                abort();
            return path;
        }
    }
    return wanted;
}

int real_open(const char *path, int flags, mode_t mode)
{
    int (*open_next)(const char *, int, ...) = next("open");
    return open_next(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    char buffer[PATH_BYTES];
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return real_open(redirected(buffer, path), flags, mode);
}

int open64(const char *path, int flags, ...)
{
    char buffer[PATH_BYTES];
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return real_open(redirected(buffer, path), flags, mode);
}

int bind(int descriptor, const struct sockaddr *address, socklen_t length)
{
    int (*bind_next)(int, const struct sockaddr *, socklen_t) = next("bind");
    const struct sockaddr_un *wanted = (const void *)address;
    struct sockaddr_un moved = {.sun_family = AF_UNIX};
    char buffer[PATH_BYTES];
    if (address->sa_family != AF_UNIX || wanted->sun_path[0] == 0)
        return bind_next(descriptor, address, length);
    const char *path = redirected(buffer, wanted->sun_path);
    if (strlen(path) >= sizeof moved.sun_path) {
        fprintf(stderr, "stand-in: %s is too long for a socket\n", path);
        abort();
    }
    strcpy(moved.sun_path, path);
    return bind_next(descriptor, (void *)&moved, sizeof moved);
}

int unlink(const char *path)
{
    char buffer[PATH_BYTES];
    int (*unlink_next)(const char *) = next("unlink");
    return unlink_next(redirected(buffer, path));
}

int chmod(const char *path, mode_t mode)
{
    char buffer[PATH_BYTES];
    int (*chmod_next)(const char *, mode_t) = next("chmod");
    return chmod_next(redirected(buffer, path), mode);
}

int mkdir(const char *path, mode_t mode)
{
    char buffer[PATH_BYTES];
    int (*mkdir_next)(const char *, mode_t) = next("mkdir");
    return mkdir_next(redirected(buffer, path), mode);
}

int rename(const char *from, const char *to)
{
    char from_buffer[PATH_BYTES], to_buffer[PATH_BYTES];
    int (*rename_next)(const char *, const char *) = next("rename");
    return rename_next(redirected(from_buffer, from), redirected(to_buffer, to));
}

/* oxenstored wants a million open files and ends where it does not get them; it never needs so many here. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    return 0;
}

int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
    return 0;
}
