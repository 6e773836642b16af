/*
 * One end of a vchan by Xen's own libxenvchan, over a file that stands in for shared pages, for a test.
 *
 *   peer FILE ROLE LEFT RIGHT     ROLE: client or server; LEFT, RIGHT: orders of the rings
 *
 * Reads commands from standard input, answers each with a line "BYTES EVENTS": how many bytes were moved, and how many events
 * libxenvchan would have sent. "w N" writes N bytes of the stream whose byte at position I is I * 31 / 8 modulo 256, "r N" reads
 * at most N and compares. No Xen is needed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <libxenvchan.h>

static int events;

/* In the place of xenevtchn_notify, by the linker's --wrap. */
int __wrap_xenevtchn_notify(xenevtchn_handle *handle, evtchn_port_t port)
{
    (void)handle;
    (void)port;
    events++;
    return 0;
}

static unsigned char at(unsigned long position)
{
    return position * 31 / 8;
}

static void *ring(unsigned char *pages, int order, int first)
{
    return order < 12 ? pages + (1 << order) : pages + first * 4096;
}

int main(int argc, char **argv)
{
    static unsigned char buffer[1 << 16];
    unsigned long sent = 0, received = 0;
    struct libxenvchan channel;
    struct vchan_interface *interface;
    struct libxenvchan_ring *left, *right;
    int fd, left_order, right_order, left_pages, right_pages;
    unsigned char *pages;
    char command;
    unsigned long count;

    if (argc != 5 || (fd = open(argv[1], O_RDWR)) < 0)
        return 2;
    memset(&channel, 0, sizeof(channel));
    channel.is_server = !strcmp(argv[2], "server");
    left_order = atoi(argv[3]);
    right_order = atoi(argv[4]);
    left_pages = left_order < 12 ? 0 : 1 << (left_order - 12);
    right_pages = right_order < 12 ? 0 : 1 << (right_order - 12);
    pages = mmap(NULL, (1 + left_pages + right_pages) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return 2;
    interface = channel.ring = (void *)pages;
    left = channel.is_server ? &channel.read : &channel.write;
    right = channel.is_server ? &channel.write : &channel.read;
    left->shr = &interface->left;
    right->shr = &interface->right;
    left->order = left_order;
    right->order = right_order;
    left->buffer = ring(pages, left_order, 1);
    right->buffer = ring(pages, right_order, 1 + left_pages);
    /* What libxenvchan_server_init and libxenvchan_client_init write. */
    if (channel.is_server) {
        interface->left_order = left_order;
        interface->right_order = right_order;
        interface->cli_live = 2;
        interface->srv_live = 1;
        interface->cli_notify = VCHAN_NOTIFY_WRITE;
    } else {
        if (interface->left_order != left_order || interface->right_order != right_order)
            return 3;
        interface->cli_live = 1;
        interface->srv_notify = VCHAN_NOTIFY_WRITE;
    }
    printf("0 0\n");
    fflush(stdout);
    while (scanf(" %c %lu", &command, &count) == 2) {
        int done;
        unsigned long i;

        events = 0;
        if (count > sizeof(buffer))
            return 2;
        if (command == 'w') {
            for (i = 0; i < count; i++)
                buffer[i] = at(sent + i);
            done = libxenvchan_write(&channel, buffer, count);
            if (done > 0)
                sent += done;
        } else {
            done = libxenvchan_read(&channel, buffer, count);
            for (i = 0; done > 0 && i < (unsigned long)done; i++)
                if (buffer[i] != at(received + i))
                    return 4;
            if (done > 0)
                received += done;
        }
        printf("%d %d\n", done, events);
        fflush(stdout);
    }
    return 0;
}
