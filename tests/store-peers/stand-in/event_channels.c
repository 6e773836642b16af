/* libxenevtchn: a fifo to the store, and one to each domain. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xentoollog.h>
#include <xenevtchn.h>

#include "rings.h"

static int input = -1;
/* The fifos to the domains, by local port: descriptor + 1, so that 0 is none. */
static int outputs[FIRST_PORT + DOMAINS];

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned flags)
{
    char path[PATH_BYTES];
    ring_file(path, "evt.in", 0);
    mkfifo(path, 0600);
    /* For both directions, so that it never ends. */
    input = real_open(path, O_RDWR, 0);
    return input < 0 ? NULL : (void *)stand_in_handle;
}

int xenevtchn_close(xenevtchn_handle *handle)
{
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *handle)
{
    return input;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *handle, unsigned virq)
{
    return DOMAIN_CHANGED_PORT;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *handle, uint32_t domain, evtchn_port_t remote)
{
    char path[PATH_BYTES];
    unsigned port = FIRST_PORT + domain;
    if (domain >= DOMAINS) {
        errno = ESRCH;
        return -1;
    }
    ring_file(path, "evt.out.%d", domain);
    mkfifo(path, 0600);
    if (outputs[port] > 0)
        close(outputs[port] - 1);
    outputs[port] = 1 + real_open(path, O_RDWR | O_NONBLOCK, 0);
    return port;
}

int xenevtchn_unbind(xenevtchn_handle *handle, evtchn_port_t port)
{
    if (port < FIRST_PORT + DOMAINS && outputs[port] > 0) {
        close(outputs[port] - 1);
        outputs[port] = 0;
    }
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *handle)
{
    uint32_t port;
    return read(input, &port, sizeof port) == sizeof port ? (int)port : -1;
}

int xenevtchn_unmask(xenevtchn_handle *handle, evtchn_port_t port)
{
    return 0;
}

int xenevtchn_notify(xenevtchn_handle *handle, evtchn_port_t port)
{
    char byte = 1;
    if (port >= FIRST_PORT + DOMAINS || outputs[port] <= 0)
        return 0;
    /* A fifo that is full says enough. */
    return write(outputs[port] - 1, &byte, 1) < 0 && errno != EAGAIN ? -1 : 0;
}
