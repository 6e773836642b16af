/* Stands in for Xen where there is none: the stock stores are started with this library preloaded, which takes the place of
 * libxenctrl, libxenevtchn and libxengnttab. What a domain shares with the store lies in files of one directory,
 * $STAND_IN_RINGS; lib/xen/src/linux/ring_files.rs says which. */
#ifndef RINGS_H
#define RINGS_H

#include <fcntl.h>

/* The local port of domain 0; that of domain N is N more. */
#define FIRST_PORT 16
/* The port that says that some domain changed (VIRQ_DOM_EXC). */
#define DOMAIN_CHANGED_PORT 1
/* The first number that no domain has (DOMID_FIRST_RESERVED). */
#define DOMAINS 0x7ff0

/* What the libraries' open functions give: nobody looks into it. */
extern char stand_in_handle[64];

#define PATH_BYTES 512

/* The path of a file of the directory, whose name has `number` where `format` has %d. */
char *ring_file(char path[PATH_BYTES], const char *format, int number);

/* open(2) itself, without the redirection that redirect.c has for it. */
int real_open(const char *path, int flags, mode_t mode);

#endif
