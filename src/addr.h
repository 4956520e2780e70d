/*
 * addr: socket addresses as values.
 *
 * One struct holds any address with its length, so that it can be copied, kept and handed to the
 * system as it is. Texts become addresses here only when they are numeric: nothing in this file
 * asks a name server or blocks; what needs that is told apart (ADDR_NAME) and goes to resolve.c.
 * Texts come with their lengths, as a Lua string may hold NUL bytes.
 */
#ifndef CURIO_ADDR_H
#define CURIO_ADDR_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    socklen_t len; /* bytes of u in use; 0 = no address at all */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    } u;
};

enum {
    ADDR_NAME = 1, /* addr_inet: not a numeric address of this family, it must be resolved */
    ADDR_HOST_MAX = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE, /* buffer that fits every addr_host */
    ADDR_TEXT_MAX = 128                                 /* buffer that fits every addr_format */
};

/*
 * From a numeric IPv4 or IPv6 text ("fe80::1%eth0" and "%2" are understood). "" is any address:
 * of IPv6 if family is AF_INET6, else of IPv4. family may be AF_UNSPEC. Returns 0, ADDR_NAME,
 * -EINVAL (NUL byte in the text, port outside 0..65535) or -EAFNOSUPPORT.
 */
int addr_inet(struct addr *a, const char *host, size_t hostlen, int port, int family);

/*
 * From a path; with a leading NUL byte an abstract name (Linux). An empty path is the unnamed
 * address, for which Linux's bind chooses an abstract one. Returns 0, -ENAMETOOLONG or -EINVAL
 * (NUL byte inside a path).
 */
int addr_unix(struct addr *a, const char *path, size_t len);

/* From what the system returned, getaddrinfo for one. Returns 0 or -EINVAL (does not fit). */
int addr_copy(struct addr *a, const struct sockaddr *from, socklen_t len);

/* The AF_ constant; AF_UNSPEC when there is no address. */
int addr_family(const struct addr *a);

/* 0..65535, or -EAFNOSUPPORT if the family has no ports. */
int addr_port(const struct addr *a);

/*
 * The host as numeric text, with "%interface" if it is link-local. Returns its length, -ENOSPC
 * (ADDR_HOST_MAX bytes are always enough) or -EAFNOSUPPORT.
 */
int addr_host(const struct addr *a, char *buf, size_t size);

/*
 * The path of a Unix address, as bytes inside *a, not terminated. Unnamed: *len is 0. Abstract:
 * begins with its NUL byte. Returns 0 or -EAFNOSUPPORT.
 */
int addr_path(const struct addr *a, const char **path, size_t *len);

/*
 * For messages: "127.0.0.1:80", "[fe80::1%eth0]:80", "/tmp/x.sock", "@name", "(unnamed)". Cut to
 * size, always terminated (size > 0); returns the length written.
 */
size_t addr_format(const struct addr *a, char *buf, size_t size);

/* The same place: padding and an IPv6 flow label do not count. */
bool addr_equal(const struct addr *a, const struct addr *b);

#endif
